-- Messages on their way: routed as the sender's client would, and what comes back of them.

local cache = require "util.cache";
local jid_bare = require "util.jid".bare;
local timer = require "util.timer";

local hosts = prosody.hosts;
local core_post_stanza = prosody.core_post_stanza;

local requests, rooms; -- given to init

-- Stanza errors → statuses (RFC 6120, section 8.3.3).
local status_of = {
	["item-not-found"] = 404; ["recipient-unavailable"] = 404; ["service-unavailable"] = 404;
	["gone"] = 410; ["redirect"] = 410;
	["forbidden"] = 403; ["not-allowed"] = 403; ["not-authorized"] = 403; ["registration-required"] = 403;
	["subscription-required"] = 403; ["policy-violation"] = 403; ["payment-required"] = 403;
	["conflict"] = 409;
	["remote-server-not-found"] = 502; ["internal-server-error"] = 502;
	["remote-server-timeout"] = 504;
	["resource-constraint"] = 503;
	["bad-request"] = 422; ["jid-malformed"] = 422; ["not-acceptable"] = 422;
	["feature-not-implemented"] = 502; ["undefined-condition"] = 502; ["unexpected-request"] = 502;
};

local function problem_of(stanza, to) --> problem
	local _, condition, text = stanza:get_error();
	condition = condition or "undefined-condition";
	return {
		status = status_of[condition] or 502;
		condition = condition;
		detail = ("%s: %s%s"):format(to, condition, text and text ~= "" and " ("..text..")" or "");
	};
end

-- What is under way, by the sender's address and the id: outcomes chained by `chained`. Those of
-- whom something may come back after the answer are remembered, so that it reaches nobody else.
local under_way = {};
local answered = cache.new(10000);

local function key_of(from, id)
	return from.."\n"..id;
end

local function track(outcome)
	local key = outcome.key;
	outcome.chained = under_way[key];
	under_way[key] = outcome;
end

local function untrack(outcome)
	local key, last = outcome.key, nil;
	local at = under_way[key];
	while at and at ~= outcome do
		last, at = at, at.chained;
	end
	if not at then
		return;
	elseif last then
		last.chained = at.chained;
	else
		under_way[key] = at.chained;
	end
end

-- The outcome that a stanza from `from` is about.
local function find(key, from)
	local outcome = under_way[key];
	while outcome do
		if from == outcome.to or jid_bare(from) == outcome.to_bare then
			return outcome;
		end
		outcome = outcome.chained;
	end
end

local function settle(outcome, status, problem)
	untrack(outcome);
	if outcome.remember then
		answered:set(outcome.key, outcome.to_bare);
	end
	requests.settle(outcome, status, problem);
end

-- A bounce or a receipt (XEP-0184) that reached the sender's address.
local function came_back(event)
	local stanza = event.stanza;
	local attr = stanza.attr;
	local id, receipt = attr.id, nil;
	if attr.type ~= "error" then
		receipt = stanza:get_child("received", "urn:xmpp:receipts");
		if not receipt then return nil; end
		id = receipt.attr.id;
	end
	if not id or not attr.to or not attr.from then
		return nil;
	end
	local key = key_of(attr.to, id);
	local outcome = find(key, attr.from);
	if not outcome then
		return answered:get(key) == jid_bare(attr.from) or nil;
	elseif not receipt then
		settle(outcome, nil, problem_of(stanza, outcome.to));
	elseif outcome.wait then
		settle(outcome, 200);
	end
	return true;
end

-- Looks at what reaches the accounts of a host; the host may have been made anew.
local watched = {}; -- host → its events

local function watch(host)
	local events = hosts[host].events;
	if watched[host] ~= events then
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
			local key = key_of(sender.address, attr.id);
			local outcome = under_way[key];
			if attr.from then outcome = find(key, attr.from) or outcome; end
			if outcome then
				settle(outcome, nil, problem_of(stanza, outcome.to));
			end
		end
		return true;
	end
	sender.origin = origin;
	return origin;
end

-- Sends one message. `wait` is how many seconds to wait for a receipt, or nil.
local function send(sender, stanza, wait) --> outcome
	local attr = stanza.attr;
	local to = attr.to;
	if attr.type == "groupchat" then
		return rooms.send(sender, stanza);
	end
	local outcome = {
		id = attr.id; to = to; to_bare = jid_bare(to); key = key_of(sender.address, attr.id); wait = wait;
		remember = wait ~= nil or sender.resource ~= nil;
	};
	watch(sender.host);
	track(outcome);
	core_post_stanza(origin_of(sender), stanza, true);
	if outcome.problem or outcome.status then
		return outcome;
	elseif not wait then
		settle(outcome, 201);
	end
	return outcome;
end

-- Ends the wait for receipts.
local function limit(outcomes, wait)
	timer.add_task(wait, function ()
		for _, outcome in ipairs(outcomes) do
			if outcome.wait and not outcome.status and not outcome.problem then
				settle(outcome, 202);
			end
		end
	end);
end

-- Sends the messages of a batch, in order, once all its recipients are resolved.
local function send_all(sender, batch, wait) --> problem, outcomes
	local ticket = batch:ticket();
	if ticket and not requests.await(ticket) then
		return requests.unloaded;
	end
	repeat
		local done, problem = batch:resolve();
		if problem then return problem; end
		if not done and not requests.breathe() then
			return requests.unloaded;
		end
	until done;
	local outcomes = {};
	for stanza in batch.next, batch do
		outcomes[#outcomes + 1] = send(sender, stanza, wait);
		if not requests.breathe() then
			return requests.unloaded;
		end
	end
	return nil, outcomes;
end

local function init(settings, the_requests)
	requests = the_requests;
	rooms = module:require "rooms" (settings, requests, problem_of);
	return { send = send; send_all = send_all; limit = limit; stop = rooms.stop };
end

return init;
