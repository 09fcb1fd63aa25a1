-- `prosodyctl mod_post_msg check`: its findings in a configuration, and their corrections.

local world = require "spec.support.world";
local read = require "pl.file".read;

local plain; -- the configuration of the server that runs

local function write(path, text)
	local file = assert(io.open(path, "wb"));
	file:write(text);
	file:close();
end

-- Findings that this server causes: it has no HTTPS, its names have no addresses, and it does not load the configuration that is checked.
-- spec/first_message_spec.lua has their tests.
local function is_usual(line)
	return line:find("^url: ") or line:find("^note: %S+: Only this machine can reach the module; ") or line:find("probe.test", 1, true)
		or line:find("has no address", 1, true) or line:find("because it has not loaded the module", 1, true)
		or line:find("nothing listens on port 443", 1, true);
end

-- Runs it. > findings, exit status
local function run()
	local out, _, status = world.prosodyctl({ "mod_post_msg", "check" });
	local lines = {};
	for line in out:gmatch("[^\n]+") do -- without what prosodyctl itself says of missing libraries
		if (line:find("^%l+: ") or line:find("^No ")) and not is_usual(line) then lines[#lines + 1] = line .. "\n"; end
	end
	return table.concat(lines), status;
end

-- Runs it on the configuration with more lines: global ones, and of example.com. > findings, exit status
local function check(global, host)
	local hosts = plain:find("VirtualHost", 1, true);
	local text = plain:sub(1, hosts - 1) .. (global or "") .. "\n" .. plain:sub(hosts);
	text = text:gsub('VirtualHost "example.com"', function (line) return line .. "\n" .. (host or ""); end);
	write(world.server.dir .. "/prosody.cfg.lua", text);
	return run();
end

local function assert_finds(global, host, ...)
	local out, status = check(global, host);
	assert.equal(1, status, out);
	for _, part in ipairs { ... } do
		assert.is_truthy(out:find(part, 1, true), part .. " is not in:\n" .. out);
	end
	local _, lines = out:gsub("\n", "");
	assert.equal(1, lines, out);
end

local function assert_does_not_find(part, global, host)
	local out = check(global, host);
	assert.is_nil(out:find(part, 1, true), out);
end

describe("prosodyctl mod_post_msg check", function ()
	lazy_setup(function ()
		world.start({ components = 'Component "rooms.example.com" "muc"' });
		plain = read(world.server.dir .. "/prosody.cfg.lua");
	end);

	lazy_teardown(world.stop);

	it("finds nothing in a right configuration", function ()
		local out, status = check();
		assert.equal("No problems were found.\n", out);
		assert.equal(0, status);
	end);

	it("finds a server without HTTP", function ()
		assert_finds("http_ports = {}", nil, "problem: Prosody serves no HTTP", "https_ports = { 5281 } above the first VirtualHost");
	end);

	it("finds plain HTTP that is served to other machines", function ()
		local port = world.server.http_port;
		local out, status = check('http_interfaces = { "*" }');
		assert.equal(1, status);
		assert.is_truthy(out:find("example.com: Plain HTTP (port " .. port .. ") is served to other machines", 1, true), out);
		assert.is_truthy(out:find("post_msg_require_encryption = true", 1, true));
		assert.equal(0, select(2, check('http_interfaces = { "*" }\npost_msg_require_encryption = true')));
		assert.equal(0, select(2, check('http_interfaces = { "127.0.0.1", "::1" }')));
	end);

	it("finds hosts with the same URL", function ()
		assert_finds('http_paths = { post_msg = "/send" }', 'http_host = "second.example"',
			"problem: example.com and second.example have the same URL, http://second.example:", "/send, so one", "set http_host");
		assert_finds('http_external_url = "https://www.example/"', nil, "have the same URL, https://www.example/msg,");
	end);

	it("finds a proxy that is not trusted", function ()
		local url = 'http_external_url = "https://example.com/"';
		assert_finds('http_interfaces = "*"\npost_msg_require_encryption = true', url,
			"problem: example.com: http_external_url is the URL of a proxy on another machine, and trusted_proxies is not set",
			'trusted_proxies = { "127.0.0.1", "::1", "ADDRESS OF THE PROXY" }');
		assert_finds('trusted_proxies = { "192.0.2.9" }', 'http_external_url = "https://localhost/"', "leads to a proxy on this machine",
			'add "127.0.0.1" and "::1" to trusted_proxies');
		assert_does_not_find("of a proxy", 'trusted_proxies = { "127.0.0.0/8" }', url);
		assert_does_not_find("of a proxy", nil, url);
		assert_does_not_find("of a proxy", 'http_interfaces = "*"\npost_msg_require_encryption = true\ntrusted_proxies = { "192.0.2.1" }', url);
	end);

	it("finds all settings of the wrong kind, and unknown settings", function ()
		local out, status = check("post_msg_size_limit = 'much'\npost_msg_acess = {}", "post_msg_nick = 7");
		assert.equal(1, status);
		for _, part in ipairs {
			"problem: example.com: The setting post_msg_size_limit is not a whole number, 1 or more\n",
			"problem: example.com: The setting post_msg_nick is not a nickname\n",
			"problem: second.example: The setting post_msg_size_limit is not",
			"problem: There is no setting post_msg_acess (in the section *); the settings are: post_msg_access, ",
		} do
			assert.is_truthy(out:find(part, 1, true), part .. " is not in:\n" .. out);
		end
	end);

	it("finds templates that do not parse", function ()
		local folder = world.server.dir .. "/my-templates";
		os.execute("mkdir '" .. folder .. "'");
		write(folder .. "/door.j2", "{{ name }}\n{% if %}\n");
		assert_finds(nil, 'post_msg_templates = "my-templates"', "problem: example.com: the template door, line 2, column", "is broken");
		write(folder .. "/door.j2", "{{ name }}\n");
		assert.equal(0, select(2, check(nil, 'post_msg_templates = "my-templates"')));
	end);

	it("notes that there are no rooms", function ()
		write(world.server.dir .. "/prosody.cfg.lua", (plain:gsub('Component "rooms[^\n]*', "")));
		local out, status = run();
		assert.equal(0, status);
		assert.matches("note: There are no rooms on this server; ", out);
	end);

	it("notes that metrics are not collected", function ()
		local out, status = check("modules_enabled = { 'http_openmetrics', 'saslauth', 'http' }");
		assert.equal(0, status);
		assert.is_truthy(out:find('note: http_openmetrics shows nothing', 1, true), out);
		assert.is_truthy(out:find('write statistics = "internal"', 1, true), out);
		out = check("modules_enabled = { 'http_openmetrics', 'saslauth', 'http' }\nstatistics = 'internal'");
		assert.equal("No problems were found.\n", out);
	end);

	it("finds hosts if the module is enabled for all hosts", function ()
		world.lua([[require "core.modulemanager".load("probe.test", "post_msg")]]);
		assert.equal("No problems were found.\n", (check("modules_enabled = { 'post_msg', 'saslauth', 'http' }")));
		world.lua([[require "core.modulemanager".unload("probe.test", "post_msg")]]);
	end);

	describe("finds a native half", function ()
		local library;
		before_each(function () library = library or world.plugin_file("post_msg.so"); end);
		after_each(function () world.plugin_file("post_msg.so", library); end);

		it("that cannot be read", function ()
			local path = world.server.plugins .. "/mod_post_msg/post_msg.so";
			assert(os.remove(path));
			assert_finds(nil, nil, "problem: The native half of mod_post_msg cannot be read (", "make install PLUGIN_DIR=…");
		end);

		it("that is cut short", function ()
			world.plugin_file("post_msg.so", library:sub(1, 1000));
			assert_finds(nil, nil, "is not a complete library of mod_post_msg");
		end);

		it("for another Lua, and of another version", function ()
			local function with_label(version, lua)
				local code = library:gsub("\nmod_post_msg [^\n]*\n$", "");
				local label = ("\nmod_post_msg %s for Lua %s, %%d bytes\n"):format(version, lua);
				local size = #code + #label - 2 + #tostring(#code);
				world.plugin_file("post_msg.so", code .. label:format(size));
			end
			local version, lua = library:match("\nmod_post_msg (%S+) for Lua (%S+), %d+ bytes\n$");
			with_label(version, "9.9");
			assert_finds(nil, nil, "is built for Lua 9.9, and this Prosody runs on Lua " .. lua);
			with_label("0.0.1", lua);
			assert_finds(nil, nil, "is version 0.0.1, and the module beside it " .. version);
		end);
	end);

	it("finds another mod_post_msg beside the one that is used", function ()
		local helpers = world.server.dir .. "/helpers";
		write(helpers .. "/mod_post_msg.lua", "-- the one in Lua\n");
		assert_finds(nil, nil, "problem: There is another mod_post_msg, ", "/helpers/mod_post_msg.lua (without a native half), which is not used",
			"because Prosody finds ", "/plugins/mod_post_msg/mod_post_msg.lua first; remove one of them");
		os.remove(helpers .. "/mod_post_msg.lua");
	end);

	it("accepts no other words", function ()
		local _, err, status = world.prosodyctl({ "mod_post_msg", "check", "all" });
		assert.equal("There is an unexpected word: all\n", err:match("[^\n]+\n$"));
		assert.equal(1, status);
	end);
end);
