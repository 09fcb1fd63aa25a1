-- Coroutines that do work of one kind at the same time, each for an account: a limit of their number needs the count.

-- A coroutine that an error has ended does not count.
local function new() --> { enter, leave, count }
	local accounts = setmetatable({}, { __mode = "k" }); -- coroutine → account
	return {
		-- The running coroutine begins or ends such work.
		enter = function (account) accounts[coroutine.running()] = account or true; end;
		leave = function () accounts[coroutine.running()] = nil; end;
		count = function (account) --> how many there are; how many of the account
			local all, own = 0, 0;
			for worker, its_account in pairs(accounts) do
				if coroutine.status(worker) ~= "dead" then
					all = all + 1;
					if its_account == account then own = own + 1; end
				end
			end
			return all, own;
		end;
	};
end

return { new = new };
