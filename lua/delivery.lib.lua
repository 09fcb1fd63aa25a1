-- Messages on their way: routed as the sender's client would, and what comes back of them.

local cache = require "util.cache";
local jid_bare = require "util.jid".bare;
local sha256 = require "util.hashes".sha256;
local timer = require "util.timer";

local guard = module.import "guard";
local new_servers = module.import "new_servers";
local counters = module.import "counters";
local problems = module.import "problems";
local rooms = module.import "rooms";
local scheduler = module.import "scheduler";

local hosts = prosody.hosts;
local core_post_stanza = prosody.core_post_stanza;

local function domain_of(address) --> string
	return address:match("^[^@/]*@([^/]*)") or address:match("^[^/]*");
end

-- Where a message goes.
local function kind_of(stanza) --> "account", "room", "service" (a host or component of this server) or "remote"
	local to = stanza.attr.to;
	if stanza.attr.type == "groupchat" then return "room"; end
	local at_domain = to:match("^[^@/]*@([^/]*)");
	local host = hosts[at_domain or to:match("^[^/]*")];
	return not host and "remote" or at_domain and host.type == "local" and "account" or "service";
end

-- Outcomes of messages that are being routed, or whose receipt is awaited, by key; of several with one key the newest, which knows
-- the older ones. An outcome is { id, to, sender, wait }, and has a `status` or a `problem` as soon as one is known.
local under_way = {};
-- An outcome that is not in use, kept for the next message: most messages are answered as soon as they are routed.
local spare;

-- Messages that are answered, and whose bounce or receipt may still arrive, so that it reaches none of the sender's clients.
local answered = cache.new(10000); -- key, or its hash → when it was answered
local answered_for = 60 * 60; -- seconds for which they are kept
local longest_key = 256; -- bytes; longer keys are hashed
local longest_id = 1024; -- bytes; no message of this module has a longer one

-- No address holds a line end.
local function key_of(id, sender, to) --> string
	return id.."\n"..sender.."\n"..to;
end

local function short(key) --> string
	return #key > longest_key and sha256(key) or key;
end

local function track(outcome)
	local key = key_of(outcome.id, outcome.sender.address, outcome.to);
	local older = under_way[key];
	if older then older.newer = outcome; end
	outcome.key, outcome.older = key, older;
	under_way[key] = outcome;
end

local function untrack(outcome)
	local key, older, newer = outcome.key, outcome.older, outcome.newer;
	if not key then return; end
	outcome.key, outcome.older, outcome.newer = nil, nil, nil;
	if older then older.newer = newer; end
	if newer then newer.older = older; else under_way[key] = older; end
end

counters.register("outcomes", function ()
	local count = 0;
	for _, outcome in pairs(under_way) do
		while outcome do count, outcome = count + 1, outcome.older; end
	end
	return count;
end);

-- The outcome of a message from `sender` (an address) to `from`, or to the account of `from`.
local function find(id, sender, from) --> outcome
	return under_way[key_of(id, sender, from)] or under_way[key_of(id, sender, jid_bare(from))];
end

local function is_answered(id, sender, from) --> boolean
	return answered:get(short(key_of(id, sender, from))) ~= nil or answered:get(short(key_of(id, sender, jid_bare(from)))) ~= nil;
end

local function forget_answered()
	local expired = os.time() - answered_for;
	scheduler.in_slices(function ()
		local key, time = answered:tail();
		return key and time <= expired and key or nil;
	end, function (key)
		answered:set(key, nil);
	end);
end

local function let_go(outcome)
	local key, sender = outcome.key, outcome.sender;
	if not key then return; end
	untrack(outcome);
	if outcome.wait or sender.resource then
		answered:set(short(key), os.time());
	end
end

local function settle(outcome, status, problem)
	let_go(outcome);
	scheduler.settle(outcome, status, problem);
end

local xmlns_receipts = "urn:xmpp:receipts";
local without_content = {
	[xmlns_receipts] = true; ["urn:xmpp:hints"] = true; ["urn:xmpp:sid:0"] = true; ["urn:xmpp:delay"] = true;
	["http://jabber.org/protocol/muc#user"] = true;
};

-- Whether a message says nothing but that another one was received.
local function is_only_receipt(stanza) --> boolean
	for _, tag in ipairs(stanza.tags) do
		if not without_content[tag.attr.xmlns] and tag.name ~= "thread" then return false; end
	end
	return true;
end

-- A bounce or a receipt (XEP-0184) that reached the sender's address. A message that has a content beside its receipt goes on to
-- the account.
local function came_back(event)
	local stanza = event.stanza;
	local attr = stanza.attr;
	local id, receipt = attr.id, nil;
	if attr.type ~= "error" then
		receipt = stanza:get_child("received", xmlns_receipts);
		if not receipt then return nil; end
		id = receipt.attr.id;
	end
	if not id or #id > longest_id or not attr.to or not attr.from then
		return nil;
	end
	local outcome = find(id, attr.to, attr.from);
	if not outcome then
		if not is_answered(id, attr.to, attr.from) then return nil; end
	elseif not receipt then
		settle(outcome, nil, problems.of_error(stanza, outcome.to));
	elseif outcome.wait then
		settle(outcome, 200);
	end
	if receipt and not is_only_receipt(stanza) then return nil; end
	return true;
end

-- Looks at what reaches the accounts of a host; the host may have been made anew.
local watched = {}; -- host → its events

local function watch(host)
	local events = hosts[host] and hosts[host].events;
	if events and watched[host] ~= events then
		watched[host] = events;
		module:hook_object_event(events, "message/bare", came_back, 1000);
		module:hook_object_event(events, "message/full", came_back, 1000);
	end
end

-- What stands for a client session of the sender.
local function origin_of(sender)
	local origin = sender.origin;
	if origin then return origin; end
	origin = {
		type = "c2s"; username = sender.username; host = sender.host; resource = sender.resource;
		full_jid = sender.address; secure = true; log = module._log; role = sender.role;
	};
	-- What is sent to it is about a message that is being routed.
	function origin.send(stanza)
		local attr = stanza.attr;
		if stanza.name == "message" and attr.type == "error" and attr.id then
			-- An answer to a message to the sender itself has no `from`.
			local outcome = find(attr.id, sender.address, attr.from or sender.account);
			if outcome then
				settle(outcome, nil, problems.of_error(stanza, outcome.to));
			end
		end
		return true;
	end
	sender.origin = origin;
	return origin;
end

-- Sends one message. `wait` is how many seconds to wait for a receipt, or nil. `unattended`: a program posts it that cannot correct
-- what is refused.
local function send(sender, stanza, wait, unattended) --> 201 where nothing more is to come; otherwise nil, outcome
	local attr = stanza.attr;
	if not hosts[sender.host] then
		local detail = attr.to..": not sent, since "..sender.host.." was deactivated on this server meanwhile";
		return nil, { id = attr.id; to = attr.to; problem = { status = 503; unsent = true; unreached = true; detail = detail } };
	end
	local may_reach, seconds = new_servers.count(sender, domain_of(attr.to));
	if not may_reach then
		local detail = ("%s: not sent, since %s has sent to %d other servers within a minute; try again in %d seconds")
			:format(attr.to, sender.account, new_servers.most, seconds);
		return nil, { id = attr.id; to = attr.to; problem = {
			status = 503; condition = "resource-constraint"; retry_after = seconds; unsent = true; unreached = true; detail = detail;
		} };
	end
	if attr.type == "groupchat" then
		return nil, rooms.send(sender, stanza, unattended);
	end
	local outcome = spare or {};
	spare = nil;
	outcome.id, outcome.to, outcome.sender, outcome.wait = attr.id, attr.to, sender, wait;
	watch(sender.host);
	track(outcome);
	local ok, problem = guard.call("Routing a message", core_post_stanza, origin_of(sender), stanza, true);
	if not ok then settle(outcome, nil, problem); end
	if wait or outcome.problem then
		return nil, outcome;
	end
	let_go(outcome);
	spare = outcome;
	return 201;
end

-- Ends the wait for receipts after so many seconds. The newest is settled first: of those with one id it is found at once.
local function limit(outcomes, wait, account) --> a function that ends it at once, the timer
	local function give_up()
		local index = #outcomes + 1;
		scheduler.in_slices(function ()
			index = index - 1;
			return outcomes[index];
		end, function (outcome)
			if outcome.wait and not outcome.status and not outcome.problem then
				settle(outcome, 202);
			end
		end, account);
	end
	return give_up, timer.add_task(wait, give_up);
end

-- Outcomes that the batches of an account may wait for: each takes memory until it is settled, which a recipient can put off.
local most_awaited = 20000;
local awaiting = setmetatable({}, { __mode = "k" }); -- list of outcomes → true; an error loses a list

counters.register("awaited_batches", function ()
	local count = 0;
	for _ in pairs(awaiting) do count = count + 1; end
	return count;
end);

local function await_outcomes(outcomes, account, count) --> problem
	local sum = 0;
	for other in pairs(awaiting) do
		if other.account == account then sum = sum + other.count; end
	end
	if sum + count > most_awaited then
		return {
			status = 503; retry_after = 1;
			detail = ("other requests of %s wait for what becomes of %d messages, and %d more are too many; try again in a moment"):format(
				account, sum, count);
		};
	end
	outcomes.account, outcomes.count = account, count;
	awaiting[outcomes] = true;
end

-- The answer has all outcomes: they no longer count for the account.
local function release(outcomes)
	awaiting[outcomes] = nil;
end

-- Resolves all recipients of a batch.
local function resolve(sender, batch) --> problem
	local ticket = batch:ticket();
	if ticket and not scheduler.await(ticket, sender.account) then return problems.new("unloaded"); end
	repeat
		local done, problem = batch:resolve();
		if problem then return problem; end
		if not done and not scheduler.breathe(sender.account) then return problems.new("unloaded"); end
	until done;
end

-- Sends the messages of a batch, in order, once all its recipients are resolved. `tell` is called with
-- id, recipient, its kind, and status or problem of those that have one at once, as long as none before them waits.
-- Before the first is sent, `prepare` may still give a problem. `how` has `wait` and `unattended` as `send` takes them.
local function send_all(sender, batch, how, tell, prepare) --> problem, how many were sent, outcomes not told
	local count, outcomes, take_back = 0, scheduler.new_outcomes(), nil;
	local problem = resolve(sender, batch);
	local total = batch:total();
	if not problem and (how.wait or batch:to_rooms()) then
		problem = await_outcomes(outcomes, sender.account, total);
	end
	if not problem and sender.admit then
		take_back, problem = sender.admit(total);
	end
	problem = problem or prepare();
	if not problem then
		for stanza in batch.next, batch do
			local id, to, kind = stanza.attr.id, stanza.attr.to, kind_of(stanza); -- which Prosody may change
			local status, outcome = send(sender, stanza, how.wait, how.unattended);
			local result = status or outcome.status or outcome.problem;
			if not outcome or not outcome.problem or not outcome.problem.unsent then count = count + 1; end
			if result and not outcomes[1] then
				tell(id, to, kind, result);
			else
				outcome = outcome or { id = id; to = to; status = status };
				outcome.kind = kind;
				scheduler.add_outcome(outcomes, outcome);
			end
			if not scheduler.breathe(sender.account) then
				problem = {
					status = 503; detail = "the module was unloaded when "..count.." messages of the request were sent, the rest was not";
				};
				break;
			end
		end
	end
	if take_back and count < total then take_back(total - count); end
	return problem, count, outcomes;
end

scheduler.repeatedly(answered_for, function ()
	forget_answered();
	return answered_for;
end);

return { kind_of = kind_of; release = release; send = send; send_all = send_all; limit = limit };
