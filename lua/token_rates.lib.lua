-- How many messages a sending token may send in any minute.

local expiring_cache = module.import "expiring_cache";
local problems = module.import "problems";
local rates = module.import "rates";

local minute = 60; -- seconds
local most_tokens = 10000; -- that are counted at once

local by_token = expiring_cache.new(most_tokens, minute); -- id → its rate

local function rate_of(id, most) --> rate
	local rate = by_token:get(id) or rates.new(most, minute);
	by_token:set(id, rate); -- it expires a minute after the last use
	return rate;
end

local function throttled(id, most, count, seconds) --> problem
	local detail = count > most
		and ("the request makes %d messages, and token %s may send %d a minute; send fewer at once"):format(count, id, most)
		or ("token %s may send %d messages a minute; try again in %d seconds"):format(id, most, seconds);
	return problems.new("throttled", detail, { retry_after = seconds });
end

-- Counts messages of a token that may send at most `most` a minute.
local function take(id, most, count) --> function that takes a number of messages back, which were not sent; or nil, problem
	local rate = rate_of(id, most);
	local entry, seconds = rate:take(count);
	if not entry then return nil, throttled(id, most, count, seconds); end
	return function (unsent) rate:give_back(entry, unsent); end;
end

return { take = take };
