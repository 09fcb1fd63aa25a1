-- The table in docs/running.md has the settings that the module declares. No Prosody is needed.

local pages = require "spec.support.pages";

-- The stub replaces Prosody's functions: they check values, and declarations do not call them.
local function read_declarations()
	local stub = { stringprep = {} };
	local env = setmetatable({ require = function () return stub; end }, { __index = _G });
	local source = pages.read("lua/settings.lib.lua");
	local chunk;
	if setfenv then -- COMPAT Lua 5.1
		chunk = setfenv(assert(loadstring(source, "@settings.lib.lua")), env);
	else
		chunk = assert(load(source, "@settings.lib.lua", "t", env));
	end
	return chunk().declarations;
end

local function default_of(setting)
	local default = setting.default;
	if default == nil then
		return setting.fallback;
	elseif type(default) == "table" then
		return "`{ \"" .. table.concat(default, "\", \"") .. "\" }`";
	end
	return "`" .. tostring(default) .. "`";
end

describe("the settings table of docs/running.md", function ()
	it("shows each setting, its default and its sentence as lua/settings.lib.lua declares them", function ()
		local rows = pages.find("docs/running.md", "\n## Settings\n.-\n| option | default | |\n|[-|]+\n(.-\n)\n");
		local next_row = rows:gmatch("(.-)\n");
		for _, setting in ipairs(read_declarations()) do
			assert.equal(("| `post_msg_%s` | %s | %s |"):format(setting.name, default_of(setting), setting.description), next_row());
		end
		assert.is_nil(next_row(), "a row of a setting that is not declared");
	end);

	it("needs a sentence, a kind, and a default or its replacement of each setting", function ()
		for _, setting in ipairs(read_declarations()) do
			assert.is_string(setting.description, setting.name);
			assert.is_string(setting.kind.label, setting.name);
			assert.is_true(setting.default ~= nil or setting.fallback ~= nil, setting.name .. " has neither `default` nor `fallback`");
		end
	end);
end);
