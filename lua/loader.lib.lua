-- The native half: found beside this file, looked at before it is loaded, and loaded.

local version = "1.0.0";

local lua_version = _VERSION:match("%d+%.%d+");

-- Stops the module from loading with one line in the log: Prosody adds a stack trace to an error
-- that is a string.
local function stop(text, ...)
	text = text:format(...);
	error(setmetatable({}, { __tostring = function () return text; end }), 0);
end

-- `make` ends the library with a line that says what it is.
local function label_of(path) --> whether it is whole, version, Lua's version; or nil and an error
	local file, err = io.open(path, "rb");
	if not file then return nil, err; end
	local size = file:seek("end") or 0;
	file:seek("set", math.max(size - 100, 0));
	local label = file:read("*a") or "";
	file:close();
	local its_version, its_lua, its_size = label:match("\nmod_post_msg (%S+) for Lua (%S+), (%d+) bytes\n$");
	return tonumber(its_size) == size, its_version, its_lua;
end

-- A file without its label is not whole, and the dynamic loader would crash on some of those.
local function look_at(path)
	local is_whole, its_version, its_lua = label_of(path);
	if is_whole == nil then
		stop("The native half of mod_post_msg cannot be read (%s); build and install it with: make install PLUGIN_DIR=…", its_version);
	elseif not is_whole then
		stop("%s is not a whole library of mod_post_msg; build and install it again with: make install PLUGIN_DIR=…", path);
	elseif its_lua ~= lua_version then
		stop("%s is built for Lua %s, and this Prosody runs on Lua %s; build the right one with: make install LUA_VERSION=%s PLUGIN_DIR=…",
			path, its_lua, lua_version, lua_version);
	elseif its_version ~= version then
		stop("%s is version %s, and the module beside it %s; build and install both with: make install PLUGIN_DIR=…",
			path, its_version, version);
	end
end

-- The dynamic loader, and Lua's, take a path that they know for the library that they know, even
-- if another file is there by now. So each file that was seen there gets a spelling of its own.
local function spelling(directory, file)
	local lfs = require "lfs";
	local seen = module:shared("/*/post_msg/libraries");
	local attributes = lfs.attributes(directory.."/"..file) or {};
	local identity = ("%s %s %s %s"):format(directory, attributes.ino, attributes.modification, attributes.size);
	if not seen[identity] then
		seen.count = (seen.count or 0) + 1;
		seen[identity] = seen.count;
	end
	return directory..("/."):rep(seen[identity]).."/"..file;
end

local function load()
	local directory = module:get_directory();
	look_at(directory.."/post_msg.so");
	local open, err = package.loadlib(spelling(directory, "post_msg.so"), "luaopen_post_msg");
	if not open then
		stop("The native half of mod_post_msg does not load (%s); build it on this machine with: make install PLUGIN_DIR=…", err);
	end
	return open();
end

-- What kind of mod_post_msg a folder holds.
local function described(directory) --> string
	local is_whole, its_version = label_of(directory.."/post_msg.so");
	return is_whole and "version "..its_version or is_whole == nil and "without a native half" or "with a native half that is not whole";
end

return { load = load; stop = stop; described = described };
