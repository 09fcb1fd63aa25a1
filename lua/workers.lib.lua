-- Counts the coroutines that do work of one kind at the same time, each for an account, so that their number can be limited.

-- A coroutine that an error has ended does not count.
local function new() --> { enter, leave, count }
	local accounts = setmetatable({}, { __mode = "k" }); -- coroutine → account
	return {
		-- The running coroutine begins (`enter`) or ends (`leave`) such work.
		enter = function (account) accounts[coroutine.running()] = account or true; end;
		leave = function () accounts[coroutine.running()] = nil; end;
		count = function (account) --> number of coroutines; number of the account's coroutines
			local count_of_all, count_of_account = 0, 0;
			for worker, its_account in pairs(accounts) do
				if coroutine.status(worker) ~= "dead" then
					count_of_all = count_of_all + 1;
					if its_account == account then count_of_account = count_of_account + 1; end
				end
			end
			return count_of_all, count_of_account;
		end;
	};
end

return { new = new };
