-- The programs of docs/examples.md run unchanged, except for the address of the server and the token. HTTP clients of the same
-- languages (spec/support/streams) send bodies whose length they do not know.

local pages = require "spec.support.pages";
local programs = require "spec.support.programs";
local world = require "spec.support.world";

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local page = "docs/examples.md";
local streams = here .. "/spec/support/streams/";

local python = programs.folder .. "/python/bin/python";
if programs.output_of("test -x '" .. python .. "' && echo there") == "" then
	print("not covered: requests and aiohttp, which this machine does not have");
	python = nil;
end

-- > the beginning of a command line; or nil, and a line says that the language is not covered
local function command(name, arguments)
	local path = programs.find(name);
	return path and ("'%s' %s"):format(path, arguments);
end

local languages = {
	python = { file = "program.py", command = python and "'" .. python .. "'" };
	javascript = { file = "program.mjs", command = command("node", "") };
	php = { file = "program.php", command = command("php", "") };
	go = { file = "program.go", command = command("go", "run") };
	powershell = { file = "program.ps1", command = command("pwsh", "-NoProfile -File") };
};

describe("programs in other languages", function ()
	local folder, token;

	setup(function ()
		world.start({ extra = 'http_default_host = "example.com"' });
		world.login("user@example.com");
		token = world.prosodyctl({ "mod_post_msg", "token", "add", "me@example.com" }):match("([^\n]*)\n$");
		folder = programs.output_of("mktemp -d"):match("[^\n]+");
	end);

	teardown(function ()
		if folder then os.execute("rm -rf '" .. folder .. "'"); end
		world.stop();
	end);

	local function url(recipient) return ("http://127.0.0.1:%d/msg/%s"):format(world.server.http_port, recipient); end

	-- > the status of the command, its output
	local function run(line)
		local output = programs.output_of("env -u http_proxy -u HTTP_PROXY -u all_proxy -u ALL_PROXY " .. line .. " 2>&1; echo $?");
		local text, status = output:match("^(.-)(%d+)\n$");
		return tonumber(status), text;
	end

	-- Runs the program of a block with another recipient.
	local function run_block(block, language, recipient)
		local code = block.text:gsub("https://example%.com:5281/msg/user", url(recipient)):gsub("pmsg_%x+_…", token);
		local path = folder .. "/" .. language.file;
		local file = assert(io.open(path, "w"));
		file:write(code);
		file:close();
		return run(language.command .. " '" .. path .. "'");
	end

	local function bodies()
		local messages, trouble = world.collect();
		assert.same({}, trouble);
		local found = {};
		for _, raw in ipairs(messages["user@example.com"]) do found[#found + 1] = raw:match("<body>(.-)</body>"); end
		return found;
	end

	for _, block in ipairs(pages.code(page)) do
		local language = languages[block.language];
		if language and language.command then
			it("send what the page says, and print why a message was not sent: " .. block.place, function ()
				local expected = block.text:match("→ user@example%.com: ([^\n]+)\n$");
				local status, output = run_block(block, language, "user");
				assert.equal("", output);
				assert.equal(0, status);
				assert.same({ expected }, bodies());
				status, output = run_block(block, language, "nobody");
				assert.is_truthy(output:find("service-unavailable", 1, true), output);
				assert.not_equal(0, status);
				assert.same({}, bodies());
			end);
		end
	end

	local clients = {
		curl = "sh '" .. streams .. "stream.sh'";
		Node = languages.javascript.command and languages.javascript.command .. " '" .. streams .. "stream.js'";
		requests = python and languages.python.command .. " '" .. streams .. "stream_requests.py'";
		aiohttp = python and languages.python.command .. " '" .. streams .. "stream_aiohttp.py'";
		PHP = languages.php.command and languages.php.command .. " '" .. streams .. "stream.php'";
		Go = languages.go.command and languages.go.command .. " '" .. streams .. "stream.go'";
	};
	for name, line in pairs(clients) do
		it("send chunks of a body of unknown length: " .. name, function ()
			local status, output = run(("%s '%s' '%s'"):format(line, url("user"), token));
			assert.equal("201 201 201 201 ", output);
			assert.equal(0, status);
			local large = ("x"):rep(100000);
			local found = bodies();
			assert.equal(4, #found);
			assert.is_true(found[1] == large and found[3] == large, "the large texts differ");
			assert.equal("small small", found[2] .. " " .. found[4]);
		end);
	end

	it("send a body after 100 Continue: curl", function ()
		local status, output = run(("curl -sSv --max-time 20 --expect100-timeout 30 -H 'Expect: 100-continue' -H 'Authorization: Bearer %s' -d Hello '%s'")
			:format(token, url("user")));
		assert.is_truthy(output:find("< HTTP/1.1 100 Continue", 1, true), output);
		assert.is_truthy(output:find("< HTTP/1.1 201 ", 1, true), output);
		assert.equal(0, status);
		assert.same({ "Hello" }, bodies());
	end);
end);
