-- Waits of requests: for work of the native half, for outcomes, for a turn of the event loop. A request runs in the coroutine that
-- Prosody's HTTP server gives it.

local async = require "util.async";
local timer = require "util.timer";

local counters = module.import "counters";
local turns = module.import "turns";

local stopped = false;
local suspended = {}; -- function that continues a suspended request → true

-- Suspends the request until `wake` is called, which `arm` is given. It continues in a turn of its account.
local function suspend(arm, account) --> whether the request may go on
	if stopped then return false; end
	local wait, done = async.waiter();
	local function continue()
		if suspended[continue] then
			suspended[continue] = nil;
			done();
		end
	end
	suspended[continue] = true;
	local armed, err = pcall(arm, function ()
		if suspended[continue] then turns.enqueue(account, continue); end
	end);
	if not armed then
		suspended[continue] = nil;
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

-- Lets other work have its turn, if the slice has ended.
local function breathe(account) --> whether the request may go on
	if not turns.is_slice_over() then return not stopped; end
	return suspend(function (wake) wake(); end, account);
end

-- Waits for a piece of work of the native half.
local function await(ticket, account) --> whether the request may go on
	return suspend(function (wake) turns.at_end_of(ticket, wake); end, account);
end

-- Waits until what was sent has left this process, to connections that take it at once. Prosody writes when the event loop comes to a
-- connection. The first tick may come before connections that the loop has found ready together with it, the second one comes after
-- all of them.
local function flush(account)
	suspend(function (wake)
		turns.at_next_tick(function () turns.at_next_tick(wake); end);
	end, account);
end

-- Timers that are stopped with the module. Otherwise an unloaded module would stay in memory until its timers are due, which may take
-- hours, and with it the threads and file descriptors of the native half.
local timers = {};

-- `callback` returns the seconds until its next call.
local function add_timer(seconds, callback)
	timers[#timers + 1] = module:add_timer(seconds, callback);
end

-- How many requests are suspended.
local function count() --> number
	return counters.count_keys(suspended);
end

counters.register("waiting_requests", count);

-- Ends all waits: the requests are answered 503.
local function stop()
	stopped = true;
	turns.stop();
	for _, a_timer in ipairs(timers) do a_timer:stop(); end
	local all = {};
	for continue in pairs(suspended) do all[#all + 1] = continue; end
	for _, continue in ipairs(all) do continue(); end
end

return {
	add_timer = add_timer; await = await; breathe = breathe; count = count; flush = flush; sleep = sleep; stop = stop; suspend = suspend;
};
