-- Outcomes: the result of each message. An outcome is { id, to, kind, sender, wait }: the stanza's id and recipient, the kind of
-- recipient (delivery.lib.lua), the sender, and the seconds to wait for a receipt, or nil. It gets a `status` or a `problem`
-- later.

local jid_bare = require "util.jid".bare;
local sha256 = require "util.hashes".sha256;

local counters = module.import "counters";
local expiring_cache = module.import "expiring_cache";
local scheduler = module.import "scheduler";
local turns = module.import "turns";

local longest_key = 256; -- bytes; longer keys are hashed
local answered_seconds = 60 * 60; -- seconds

-- Outcomes of messages that are being routed, or whose receipt is awaited, by key. Of several outcomes with one key, this table has
-- the newest, and each has the next older one.
local tracked_outcomes = {};

-- Answered messages whose bounce or receipt may still arrive: it must not reach a client of the sender.
local answered_keys = expiring_cache.new(10000, answered_seconds); -- key, or its hash → true

-- No address contains a line end.
local function key_of(id, sender, to) --> string
	return id.."\n"..sender.."\n"..to;
end

local function shorten(key) --> string
	return #key > longest_key and sha256(key) or key;
end

-- From now on, `find` returns the outcome.
local function track(outcome)
	local key = key_of(outcome.id, outcome.sender.address, outcome.to);
	local older = tracked_outcomes[key];
	if older then older.newer = outcome; end
	outcome.key, outcome.older = key, older;
	tracked_outcomes[key] = outcome;
end

local function untrack(outcome)
	local key, older, newer = outcome.key, outcome.older, outcome.newer;
	outcome.key, outcome.older, outcome.newer = nil, nil, nil;
	if older then older.newer = newer; end
	if newer then newer.older = older; else tracked_outcomes[key] = older; end
end

-- The outcome of a message from `sender` (an address) to `from`, or to the account of `from`.
local function find(id, sender, from) --> outcome or nil
	return tracked_outcomes[key_of(id, sender, from)] or tracked_outcomes[key_of(id, sender, jid_bare(from))];
end

local function is_answered(id, sender, from) --> boolean
	return answered_keys:get(shorten(key_of(id, sender, from))) or answered_keys:get(shorten(key_of(id, sender, jid_bare(from)))) or false;
end

-- Stops tracking a message that is answered.
local function close(outcome)
	local key, sender = outcome.key, outcome.sender;
	if not key then return; end
	untrack(outcome);
	if outcome.wait or sender.resource then
		answered_keys:set(shorten(key), true);
	end
end

-- Sets the status or the problem of an outcome, if it has none yet.
local function settle(outcome, status, problem)
	close(outcome);
	if outcome.status or outcome.problem then return; end
	outcome.status, outcome.problem = status, problem;
	local list = outcome.list;
	outcome.list = nil; -- a timer may refer to the outcome, and the list refers to the request
	if list then list:count_down(); end
end

local function forget_answered()
	turns.in_slices(function ()
		return answered_keys:expired_key();
	end, function (key)
		answered_keys:set(key, nil);
	end);
end

scheduler.add_timer(answered_seconds, function ()
	forget_answered();
	return answered_seconds;
end);

counters.register("outcomes", function ()
	local count = 0;
	for _, outcome in pairs(tracked_outcomes) do
		while outcome do count, outcome = count + 1, outcome.older; end
	end
	return count;
end);

return { close = close; find = find; is_answered = is_answered; settle = settle; track = track };
