rockspec_format = "3.0"
package = "mod_post_msg"
version = "1.0.0-1"
-- luarocks make builds it in this folder.
source = { url = "file://." }
description = {
	summary = "Prosody module that sends XMPP messages posted over HTTP";
	license = "MIT";
}
dependencies = { "lua >= 5.1" }
build = {
	type = "make";
	build_target = "build";
	install_target = "install-rock";
	variables = { ROCK_LUA = "$(LUA)"; PREFIX = "$(PREFIX)"; LUADIR = "$(LUADIR)" };
}
