-- The list of outcomes that a request waits for.

local timer = require "util.timer";

local counters = module.import "counters";
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local settle = module.import "outcomes".settle;
local turns = module.import "turns";

-- Outcomes that all batches of an account may wait for at once. Each takes memory until it is settled, and a recipient can delay that.
local max_awaited = 20000;
local waiting_lists = setmetatable({}, { __mode = "k" }); -- list → true; if an error ends a request, its list is collected as garbage

local list = {};
list.__index = list;

local function new(account) --> list
	return setmetatable({ account = account; pending = 0; reserved = 0 }, list);
end

-- Reserves places for the outcomes of `count` messages.
function list:reserve(count) --> true; or nil, problem
	local sum = 0;
	for other in pairs(waiting_lists) do
		if other.account == self.account then sum = sum + other.reserved; end
	end
	if sum + count > max_awaited then
		return nil, problems.new("busy", ("other requests of %s wait for the outcomes of %d messages, and %d more would exceed the limit;"
			.." try again in a moment"):format(self.account, sum, count));
	end
	self.reserved = count;
	waiting_lists[self] = true;
	return true;
end

-- The request no longer needs its places.
function list:release()
	waiting_lists[self] = nil;
end

function list:add(outcome)
	self[#self + 1] = outcome;
	if not outcome.status and not outcome.problem then
		self.pending = self.pending + 1;
		outcome.list = self;
	end
end

-- An outcome of the list is settled.
function list:count_down()
	self.pending = self.pending - 1;
	if self.pending == 0 and self.wake then self.wake(); end
end

-- Stops waiting for receipts. The newest outcome is settled first, because it is the first in the chain of outcomes with one key.
function list:give_up()
	local index = #self + 1;
	turns.in_slices(function ()
		index = index - 1;
		return self[index];
	end, function (outcome)
		if outcome.wait and not outcome.status and not outcome.problem then
			settle(outcome, 202);
		end
	end, self.account);
end

-- Waits until all outcomes are settled. For receipts, it waits `seconds` at most; without a limit if `seconds` is nil.
function list:wait(seconds) --> true; or nil, problem
	if self.pending == 0 then return true; end
	local limit = seconds and timer.add_task(seconds, function () self:give_up(); end);
	local goes_on = scheduler.suspend(function (wake) self.wake = wake; end, self.account);
	if limit then timer.stop(limit); end -- the timer refers to the list
	if not goes_on then return nil, problems.new("unloaded"); end
	return true;
end

counters.register("awaited_batches", function ()
	local count = 0;
	for _ in pairs(waiting_lists) do count = count + 1; end
	return count;
end);

return { new = new };
