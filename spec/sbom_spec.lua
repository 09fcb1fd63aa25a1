-- The list of the library's components in the Debian package: packaging/sbom.

local json = require "dkjson";
local programs = require "spec.support.programs";

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local python = programs.folder .. "/python/bin/python";
local library = assert(os.getenv("PLUGIN_DIR"), "PLUGIN_DIR is not set") .. "/mod_post_msg/post_msg.so";

local function sbom()
	return programs.output_of(("SOURCE_DATE_EPOCH=1790000000 '%s' '%s/packaging/sbom' 1.0.0 5.4 \"$(uname -m)-unknown-linux-gnu\"")
		:format(os.getenv("PYTHON") or "/usr/bin/python3", here));
end

describe("the software bill of materials", function ()
	local text, components;

	setup(function ()
		text = sbom();
		components = {};
		for _, component in ipairs((assert(json.decode(text))).components) do
			components[component.name .. "-" .. component.version] = component;
		end
	end);

	it("is the same each time", function ()
		assert.equal(text, sbom());
	end);

	it("names every crate with code in the library that can fail", function ()
		local count, pipe = 0, assert(io.popen(("grep -aoE '/cargo/registry/src/[^/]+/[^/]+' '%s' | sort -u"):format(library)));
		for path in pipe:lines() do
			local crate = path:match("[^/]+$");
			assert.equal("required", (components[crate] or {}).scope, crate);
			count = count + 1;
		end
		pipe:close();
		assert.is_true(count > 20, count .. " crates");
	end);

	it("marks the crates of the build as excluded", function ()
		local scopes = {};
		for _, component in pairs(components) do
			scopes[component.name] = component.scope;
		end
		assert.equal("excluded", scopes["serde_derive"]);
		assert.equal("required", scopes.jid);
		assert.is_nil(scopes.proptest);
	end);

	if programs.output_of("'" .. python .. "' -c 'import cyclonedx' 2>/dev/null && echo there") == "" then
		print("not covered: cyclonedx-python-lib, which this machine does not have");
		return;
	end

	it("is valid CycloneDX 1.6", function ()
		local name = os.tmpname();
		local file = assert(io.open(name, "w"));
		file:write(text);
		file:close();
		local said = programs.output_of(("'%s' -c '%s' <'%s' 2>&1"):format(python, [[
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()) or "valid")
]], name));
		os.remove(name);
		assert.equal("valid\n", said);
	end);
end);
