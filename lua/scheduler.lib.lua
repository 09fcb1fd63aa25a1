-- Waits of requests: for work of the native half, for outcomes, for a turn of the event loop. A request runs in the coroutine that
-- Prosody's HTTP server gives it.

local async = require "util.async";
local timer = require "util.timer";

local counters = module.import "counters";
local turns = module.import "turns";

local stopped = false;
local suspended_requests = {}; -- function that continues a suspended request → true

-- Calls `arm(wake)`, and suspends the request until `wake` is called. The request continues in a turn of its account.
local function suspend(arm, account) --> whether the request may go on
	if stopped then return false; end
	local wait, done = async.waiter();
	local function continue()
		if suspended_requests[continue] then
			suspended_requests[continue] = nil;
			done();
		end
	end
	suspended_requests[continue] = true;
	local armed, err = pcall(arm, function ()
		if suspended_requests[continue] then turns.enqueue(account, continue); end
	end);
	if not armed then
		suspended_requests[continue] = nil;
		error(err, 0);
	end
	wait();
	return not stopped;
end

local function sleep(seconds) --> whether the request may go on
	return suspend(function (wake)
		timer.add_task(seconds, function () wake(); end);
	end);
end

-- If the slice has ended, suspends the request until its account's next turn.
local function breathe(account) --> whether the request may go on
	if not turns.is_slice_over() then return not stopped; end
	return suspend(function (wake) wake(); end, account);
end

-- Waits for a piece of work of the native half.
local function await(ticket, account) --> whether the request may go on
	return suspend(function (wake) turns.at_end_of(ticket, wake); end, account);
end

-- Waits until the sent messages have left this process, except on connections that are slow to take them. Prosody writes when the event
-- loop comes to a connection. At the first tick, other connections of the same round of the loop may still be due; the second tick comes
-- after all of them.
local function flush(account)
	suspend(function (wake)
		turns.at_next_tick(function () turns.at_next_tick(wake); end);
	end, account);
end

-- Timers to stop when the module is unloaded. Otherwise the module, with the threads and file descriptors of the native half, would stay
-- in memory until its timers are due, which may take hours.
local timers = {};

-- `callback` returns the seconds until its next call.
local function add_timer(seconds, callback)
	timers[#timers + 1] = module:add_timer(seconds, callback);
end

-- The number of suspended requests.
local function count() --> number
	return counters.count_keys(suspended_requests);
end

counters.register("waiting_requests", count);

-- Ends all waits: the requests are answered 503.
local function stop()
	stopped = true;
	turns.stop();
	for _, a_timer in ipairs(timers) do a_timer:stop(); end
	local all = {};
	for continue in pairs(suspended_requests) do all[#all + 1] = continue; end
	for _, continue in ipairs(all) do continue(); end
end

return {
	add_timer = add_timer; await = await; breathe = breathe; count = count; flush = flush; sleep = sleep; stop = stop; suspend = suspend;
};
