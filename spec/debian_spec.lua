-- The Lua examples of the documentation, pasted into Debian's own configuration at each place where a reader may put them.

local pages = require "spec.support.pages";
local output_of = require "spec.support.programs".output_of;
local read_file = require "pl.file".read;
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local root = (os.getenv("PROSODY_ROOT") or ""):gsub("/$", "");
local debian = read_file(root .. "/etc/prosody/prosody.cfg.lua") or "";
local first_host = 'VirtualHost "localhost"\n';
local default_host = read_file(root .. "/etc/prosody/conf.avail/localhost.cfg.lua") or first_host;
local host_file = (read_file(root .. "/etc/prosody/conf.avail/example.com.cfg.lua") or ""):gsub("enabled = false", "");

if not debian:find("\n" .. first_host, 1, true) or not debian:find('\nInclude "conf.d/*.cfg.lua"\n', 1, true) then
	print("not covered: Debian's configuration of Prosody, which this machine does not have");
	return;
end

local function inserted(before, text)
	local position = assert(debian:find(before, 1, true), before);
	return debian:sub(1, position - 1) .. text .. debian:sub(position);
end

-- Where a reader may paste an example. Each function returns the main file, and a file in conf.d with its content before.
local places = {
	["at the end"] = function (text) return debian .. text; end;
	["at the beginning"] = function (text) return text .. debian; end;
	["in the global section"] = function (text) return inserted("certificates = ", text); end;
	["above the first VirtualHost line"] = function (text) return inserted(first_host, text); end;
	["below the first VirtualHost line"] = function (text) return inserted("\n\n--VirtualHost", "\n" .. text); end;
	["below the line of the host itself"] = function (text)
		return (debian:gsub('\n%-%-VirtualHost "example.com"\n', function () return '\nVirtualHost "example.com"\n' .. text; end));
	end;
	["in a file in conf.d"] = function (text) return debian, text; end;
	["in the file of the host in conf.d"] = function (text) return debian, 'VirtualHost "example.com"\n\n' .. text; end;
	["at the end of Debian's own file for the host"] = function (text) return debian, host_file .. text, host_file; end;
};
local all_places = {};
for name in pairs(places) do all_places[#all_places + 1] = name; end
table.sort(all_places);

-- Lines without a section are right at these places only.
local global_places = { "at the beginning", "in the global section", "above the first VirtualHost line", "in a file in conf.d" };

local examples = {};
for _, name in ipairs(pages.names) do
	for _, block in ipairs((pages.code(name))) do
		if block.language == "lua" then examples[#examples + 1] = { place = block.place, page = name, text = block.text }; end
	end
end

local function example(name, pattern) --> text
	for _, found in ipairs(examples) do
		if found.page == name and found.text:find(pattern) then return found.text; end
	end
	error(name .. " has no example like " .. pattern);
end

local function start(config, in_conf_d, files)
	local all = { ["conf.d/localhost.cfg.lua"] = default_host, ["conf.d/example.com.cfg.lua"] = in_conf_d or "-- empty\n",
		["conf.d/more.cfg.lua"] = "-- empty\n", ["certs/README"] = "" };
	for name, text in pairs(files or {}) do all[name] = text; end
	world.start({ config = config; files = all });
end

-- What the server's own parser makes of configurations. > { section → { option → value } } of each, and of the present one
local function parse(configs)
	for index, config in ipairs(configs) do
		local file = assert(io.open(("%s/try-%d.cfg.lua"):format(world.server.dir, index), "w"));
		file:write((config:gsub("conf%.d/%*", "try-conf.d/*")));
		file:close();
	end
	return world.lua(([[
		local manager, parsed = require "core.configmanager", {};
		local folder = prosody.paths.config;
		local serialize = require "util.serialization".new({ preset = "compact", sortkeys = true, fatal = false });
		for index = 1, %d do
			local ok, _, problem = manager.load(folder.."/try-"..index..".cfg.lua", "lua");
			assert(ok, problem);
			local sections = {};
			for section, options in pairs(manager.getconfig()) do
				sections[section] = {};
				for name, value in pairs(options) do sections[section][name] = serialize(value); end
			end
			parsed[index] = sections;
		end
		assert(manager.load(prosody.config_file, "lua"));
		return parsed;
	]]):format(#configs));
end

local function write_in_conf_d(text)
	local folder = world.server.dir .. "/try-conf.d";
	output_of("mkdir -p '" .. folder .. "'");
	for name, content in pairs { localhost = default_host, more = text or "-- empty\n" } do
		local file = assert(io.open(("%s/%s.cfg.lua"):format(folder, name), "w"));
		file:write(content);
		file:close();
	end
end

local function loaded_modules(host) --> { name → true }
	return world.lua(([[
		local found = {};
		for _, section in ipairs { %q, "*" } do
			for name in pairs(require "core.modulemanager".get_modules(section)) do found[name] = true; end
		end
		return found;
	]]):format(host));
end

local function make_accounts()
	for _, name in ipairs { "me", "user" } do
		world.lua(("return require 'core.usermanager'.create_user(%q, %q, 'example.com')"):format(name, world.password[name .. "@example.com"]));
	end
end

-- > what `prosodyctl check config` prints, without the names of files
local function check_config()
	return (world.prosodyctl({ "check", "config" }):gsub("[^\n]*%.cfg%.lua\n", ""));
end

local function problems() --> { error of the log → true }
	local found = {};
	for line in world.log():gmatch("[^\n]+") do
		if line:find("\terror\t", 1, true) then found[line:match("\t(.*)")] = true; end
	end
	return found;
end

describe("Debian's configuration", function ()
	local defaults, default_problems, default_check;

	lazy_setup(function ()
		start(debian);
		defaults, default_problems = loaded_modules("localhost"), problems();
		default_check = check_config();
	end);
	lazy_teardown(world.stop);

	it("loads its own modules, and not this one", function ()
		assert.is_true(defaults.saslauth and defaults.pep and defaults.admin_shell);
		assert.is_nil(defaults.post_msg);
	end);

	-- The server's own parser reads the example alone. Wherever the example is pasted, the result has the same options in the same
	-- sections, and all options that Debian's configuration had before.
	local function assert_right(text, place)
		local config, in_conf_d, in_conf_d_before = places[place](text);
		write_in_conf_d(in_conf_d_before);
		local before, alone = (table.unpack or unpack)(parse({ debian, text }));
		write_in_conf_d(in_conf_d);
		local result = parse({ config })[1];
		for _, sections in ipairs { before, alone } do
			for section, options in pairs(sections) do
				for name, value in pairs(options) do
					local is_replaced = sections == before and (alone[section] or {})[name];
					if not is_replaced then assert.equal(value, (result[section] or {})[name], section .. ": " .. name); end
				end
			end
		end
		for section, options in pairs(result) do
			for name in pairs(options) do
				local is_known = (before[section] or {})[name] or (alone[section] or {})[name] or section == "example.com" and name == "defined";
				assert.is_truthy(is_known, section .. " has also " .. name);
			end
		end
	end

	for _, shown in ipairs(examples) do
		describe("with the example of " .. shown.place, function ()
			local has_section = shown.text:find("VirtualHost", 1, true) or shown.text:find("Component", 1, true);
			if not has_section then
				it("has a sentence on the page that says where the lines go", function ()
					local before = pages.read(shown.page):match("([^\n]*\n?[^\n]*)\n\n```lua\n" .. shown.text:gsub("%p", "%%%0"));
					assert.is_truthy(assert(before):gsub("\n", " "):find("above the first `VirtualHost` line", 1, true), before);
				end);
			end
			for _, place in ipairs(has_section and all_places or global_places) do
				it(place .. " has all settings in their sections", function () assert_right(shown.text, place); end);
			end
		end);
	end

	for _, place in ipairs(all_places) do
		it("with the examples " .. place .. " starts the module, beside all other modules", function ()
			local config, in_conf_d = places[place](table.concat({
				example("docs/running.md", "post_msg");
				example("docs/templates.md", "post_msg_templates"):gsub('"/etc/prosody/templates"', '"templates"');
				example("docs/reference.md", "http_file_share");
				example("docs/monitoring.md", "statistics");
			}, "\n"));
			in_conf_d = in_conf_d and in_conf_d:gsub("\tssl = %b{}", ""); -- it names files that do not exist
			start(config, in_conf_d, { ["templates/hello.j2"] = "Hello, {{ payload.name }}" });
			assert.same(default_problems, problems());
			for _, host in ipairs { "localhost", "example.com" } do
				local loaded = loaded_modules(host);
				for module in pairs(defaults) do assert.is_true(loaded[module], host .. " has no " .. module); end
			end
			assert.is_true(loaded_modules("example.com").post_msg);
			assert.is_nil(loaded_modules("localhost").post_msg);
			assert.equal(default_check, check_config());
			make_accounts();
			world.login("user@example.com");
			-- The template
			local answer = world.http(world.request("/msg/user?as=hello", '{"name": "you"}', { ["Content-Type"] = "application/json" }));
			assert.equal(200, answer.status, answer.body);
			assert.is_truthy(world.receive("user@example.com"):find("<body>Hello, you</body>", 1, true));
			-- The metrics
			answer = world.http("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
			assert.equal(200, answer.status);
			assert.is_truthy(answer.body:find('prosody_mod_post_msg__templates_total{host="example.com"', 1, true), answer.body);
		end);
	end

	it("with the upload service has links that a client can read, and the server needs no certificate and no DNS to upload", function ()
		local folder, port = output_of("mktemp -d"):match("[^\n]+"), wire.free_port();
		finally(function () os.execute("rm -rf '" .. folder .. "'"); end);
		os.execute(("cd '%s' && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=example.com -addext subjectAltName=DNS:example.com "
			.. "-keyout example.com.key -out example.com.crt 2>/dev/null"):format(folder));
		start(
			"https_ports = { " .. port .. " }\n" .. debian .. example("docs/running.md", "post_msg") .. example("docs/reference.md", "http_file_share"), nil,
			{
				["certs/example.com.crt"] = read_file(folder .. "/example.com.crt"), ["certs/example.com.key"] = read_file(folder .. "/example.com.key");
			});
		make_accounts();
		world.login("user@example.com");
		local status, body = world.curl(
			("curl http://example.com:5280/msg/user -u me@example.com:mypassword -F body=Certificate -F file=@%s/example.com.crt"):format(folder));
		assert.equal(201, status, body);
		local url = world.receive("user@example.com"):match("<url>(.-)</url>");
		assert.equal(("https://example.com:%d/file_share/"):format(port), url:match("^https://[^/]*/[^/]*/"));
		assert.equal(read_file(folder .. "/example.com.crt"), output_of(
			("curl -sS --noproxy '*' --cacert '%s/example.com.crt' --resolve example.com:%d:127.0.0.1 '%s'"):format(folder, port, url)));
	end);

	it("takes the metrics only with a restart", function ()
		start(debian .. example("docs/running.md", "post_msg"));
		local path = world.server.dir .. "/prosody.cfg.lua";
		local file = assert(io.open(path, "a"));
		file:write(example("docs/monitoring.md", "statistics"));
		file:close();
		world.lua("prosody.reload_config()");
		assert(world.module("load", "localhost", "http_openmetrics"));
		local function metrics() return world.http("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); end
		assert.equal("No statistics provider configured\n", metrics().body);
		world.restart();
		assert.is_truthy(metrics().body:find("prosody_mod_post_msg__", 1, true));
	end);
end);

