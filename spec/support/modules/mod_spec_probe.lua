-- Runs the Lua posted to /probe inside Prosody and answers with its result as JSON.

module:depends "http";

local json = require "util.json";
local envload = require "util.envload".envload;

local function run(code)
	local chunk, err = envload(code, "=probe", setmetatable({ module = module }, { __index = _G }));
	if not chunk then return nil, err; end
	local ok, result = pcall(chunk);
	if not ok then return nil, tostring(result); end
	return result;
end

module:provides("http", {
	default_path = "/probe";
	route = {
		POST = function (event)
			local result, problem = run(event.request.body);
			return json.encode({ result = result, problem = problem });
		end;
	};
});
