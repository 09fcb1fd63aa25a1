-- The OpenAPI 3.1 description of the HTTP interface: it is valid, it is true, and a client can be generated from it. The steps are in
-- spec/support/openapi.py.

local json = require "dkjson";
local programs = require "spec.support.programs";
local world = require "spec.support.world";

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local python = programs.folder .. "/python/bin/python";

if programs.output_of("'" .. python .. "' -c 'import openapi_python_client, openapi_spec_validator' 2>/dev/null && echo there") == "" then
	print("not covered: openapi-spec-validator and openapi-python-client, which this machine does not have");
	return;
end

describe("the OpenAPI description", function ()
	local folder;

	setup(function ()
		world.start({ components = 'Component "upload.example.com" "http_file_share"\n\thttp_host = "127.0.0.1"' });
		world.login("user@example.com", "other@example.com");
		folder = programs.output_of("mktemp -d"):match("[^\n]+");
	end);

	teardown(function ()
		if folder then os.execute("rm -rf '" .. folder .. "'"); end
		world.stop();
	end);

	it("is valid, its examples get the described answers, and a client that is generated from it sends a message", function ()
		local token = world.prosodyctl({ "mod_post_msg", "token", "add", "me@example.com" }):match("([^\n]*)\n$");
		local file = assert(io.open(folder .. "/openapi.json", "w"));
		file:write(world.http("GET /msg/openapi.json HTTP/1.1\r\nHost: example.com\r\n\r\n").body);
		file:close();
		local output = programs.output_of(("'%s' '%s/spec/support/openapi.py' '%s/openapi.json' %d %s '%s' 2>&1")
			:format(python, here, folder, world.server.http_port, token, folder));
		local report = json.decode(output) or error(output);
		local count = 0;
		for name, result in pairs(report.results) do
			assert.is_true(result == true, name .. ": " .. tostring(result));
			count = count + 1;
		end
		assert.is_true(count > 30, count .. " checks");
		local messages, trouble = world.collect();
		assert.same({}, trouble);
		for _, address in ipairs { "user@example.com", "other@example.com" } do
			assert.is_true(report.sent[address] > 0, address);
			assert.equal(report.sent[address], #messages[address], address);
		end
		assert.same({}, world.errors());
	end);
end);
