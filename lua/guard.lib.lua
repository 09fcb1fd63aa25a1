-- Code of other modules may raise an error, and a request may die of one: nothing of this module may stay as it was amid that.

local show = module.import "display".show;

local function conclude(task, ok, ...) --> as `call`
	if ok then return true, ...; end
	local _, err = pcall(tostring, (...));
	module:log("error", "%s failed in another module: %s", task, show((tostring(err):gsub("\n.*", ""))));
	return nil, {
		status = 502; condition = "internal-server-error"; detail = task.." failed in another module of this server; its log says more";
	};
end

-- Calls a function of others that does not yield (in Lua 5.1, nothing yields through it). `task`, a noun with its object, names what
-- it does in the log.
local function call(task, callee, ...) --> true and its results; or nil and a problem
	return conclude(task, pcall(callee, ...));
end

-- The coroutines that are at work on something, each for an account. One that an error has ended does not count.
local function new_workers() --> { enter, leave, count }
	local workers = setmetatable({}, { __mode = "k" });
	return {
		enter = function (account) workers[coroutine.running()] = account; end;
		leave = function () workers[coroutine.running()] = nil; end;
		count = function (account) --> how many there are; how many of the account
			local all, own = 0, 0;
			for worker, its_account in pairs(workers) do
				if coroutine.status(worker) ~= "dead" then
					all = all + 1;
					if its_account == account then own = own + 1; end
				end
			end
			return all, own;
		end;
	};
end

return { call = call; new_workers = new_workers };
