-- Calls functions of Prosody and of other modules. They may raise an error, which would end the request before its answer.

local problems = module.import "problems";
local show = module.import "display".show;

local function conclude(task, ok, ...) --> as `call`
	if ok then return true, ...; end
	local _, err = pcall(tostring, (...));
	module:log("error", "%s failed in another module: %s", task, show((tostring(err):gsub("\n.*", ""))));
	return nil, problems.new("foreign_error", task.." failed in another module of this server; its log says more");
end

-- Calls a function that does not yield (in Lua 5.1, nothing yields through it). `task` names the call in
-- the log if it fails: a noun with its object.
local function call(task, callee, ...) --> true and the results; or nil, problem
	return conclude(task, pcall(callee, ...));
end

return { call = call };
