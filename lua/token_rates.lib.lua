-- How many messages a sending token may send in any minute.

local expiring_cache = module.import "expiring_cache";
local problems = module.import "problems";
local rates = module.import "rates";

local minute = 60; -- seconds
local max_tokens = 10000; -- tokens that are counted at once

-- All hosts share this table: the limit of a token counts its messages at all of them.
local shared = module:shared("/*/post_msg/token_rates");
shared.by_token = shared.by_token or expiring_cache.new(max_tokens, minute);
local by_token = shared.by_token; -- id → its rate

local function rate_of(id, limit) --> rate
	local rate = by_token:get(id) or rates.new(limit, minute);
	by_token:set(id, rate); -- it expires a minute after the last use
	return rate;
end

local function throttled_problem(id, limit, count, seconds) --> problem
	local detail = count > limit
		and ("the request makes %d messages, and token %s may send %d a minute; send fewer at once"):format(count, id, limit)
		or ("token %s may send %d messages a minute; try again in %d seconds"):format(id, limit, seconds);
	return problems.new("throttled", detail, { retry_after = seconds });
end

-- Counts messages of a token that may send at most `limit` a minute.
local function take(id, limit, count) --> function that takes back a number of unsent messages; or nil, problem
	local rate = rate_of(id, limit);
	local entry, seconds = rate:take(count);
	if not entry then return nil, throttled_problem(id, limit, count, seconds); end
	return function (count_of_unsent) rate:give_back(entry, count_of_unsent); end;
end

return { take = take };
