-- Routes messages as the sender's client would, and receives their bounces and receipts.

local host_events = module.import "host_events";
local new_servers = module.import "new_servers";
local outcomes = module.import "outcomes";
local problems = module.import "problems";
local rooms = module.import "rooms";
local sessions = module.import "sessions";

local hosts = prosody.hosts;
local settle = outcomes.settle;

local function domain_of(address) --> string
	return address:match("^[^@/]*@([^/]*)") or address:match("^[^/]*");
end

-- The kind of a message's recipient.
local function kind_of(stanza) --> "account", "room", "service" (a host or component of this server) or "remote"
	local to = stanza.attr.to;
	if stanza.attr.type == "groupchat" then return "room"; end
	local account_domain = to:match("^[^@/]*@([^/]*)");
	local host = hosts[account_domain or to:match("^[^/]*")];
	return not host and "remote" or account_domain and host.type == "local" and "account" or "service";
end

-- Bounces and receipts

local xmlns_receipts = "urn:xmpp:receipts";
local longest_id = 1024; -- bytes; the id of a message of this module has fewer
local without_content = {
	[xmlns_receipts] = true; ["urn:xmpp:hints"] = true; ["urn:xmpp:sid:0"] = true; ["urn:xmpp:delay"] = true;
	["http://jabber.org/protocol/muc#user"] = true;
};

-- Whether a receipt is the only content of a message.
local function is_only_receipt(stanza) --> boolean
	for _, tag in ipairs(stanza.tags) do
		if not without_content[tag.attr.xmlns] and tag.name ~= "thread" then return false; end
	end
	return true;
end

-- Takes a bounce or a receipt (XEP-0184) that reached the sender's address. A message that also has other content
-- is delivered to the account.
local function take_return(event)
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
	local outcome = outcomes.find(id, attr.to, attr.from);
	if not outcome then
		if not outcomes.is_answered(id, attr.to, attr.from) then return nil; end
	elseif not receipt then
		settle(outcome, nil, problems.of_error(stanza, outcome.to));
	elseif outcome.wait then
		settle(outcome, 200);
	end
	if receipt and not is_only_receipt(stanza) then return nil; end
	return true;
end

local watch = host_events.watcher({ "message/bare", "message/full" }, take_return, 1000);

-- The session of a sender. Prosody sends it errors about the message that is being routed.
local function session_of(sender) --> session
	sender.session = sender.session or sessions.new(sender, sender.address, function (stanza)
		local attr = stanza.attr;
		if stanza.name ~= "message" or attr.type ~= "error" or not attr.id then return; end
		-- An error about a message to the sender itself has no `from`.
		local outcome = outcomes.find(attr.id, sender.address, attr.from or sender.account);
		if outcome then settle(outcome, nil, problems.of_error(stanza, outcome.to)); end
	end);
	return sender.session;
end

-- Sending

-- Whether a message to this address may be sent now.
local function check_route(sender, to) --> true; or nil, problem
	if not hosts[sender.host] then
		return nil, problems.new("unsent", ("%s: not sent, because %s was deactivated on this server meanwhile"):format(to, sender.host));
	end
	local may_reach, seconds = new_servers.count(sender, domain_of(to));
	if not may_reach then
		return nil, problems.new("unsent", ("%s: not sent, because %s has sent to %d other servers within a minute; try again in %d seconds")
			:format(to, sender.account, new_servers.limit, seconds), { condition = "resource-constraint"; retry_after = seconds });
	end
	return true;
end

local function route(sender, stanza, outcome)
	watch(sender.host);
	outcomes.track(outcome);
	local ok, problem = sessions.route(session_of(sender), stanza, "Routing a message");
	if not ok then
		settle(outcome, nil, problem);
	elseif not outcome.wait then
		settle(outcome, 201);
	end
end

-- Sends one message. `options.wait`: the seconds to wait for a receipt, or nil. `options.unattended`: whether the message comes from a
-- program, which cannot correct a refused message.
local function send(sender, stanza, options) --> outcome
	local attr, kind = stanza.attr, kind_of(stanza); -- Prosody may change the stanza
	local outcome = { id = attr.id; to = attr.to; kind = kind; sender = sender; wait = options.wait };
	local may_send, problem = check_route(sender, attr.to);
	if not may_send then
		outcome.problem = problem;
	elseif kind == "room" then
		outcome = rooms.send(sender, stanza, options.unattended);
		outcome.kind = kind;
	else
		route(sender, stanza, outcome);
	end
	return outcome;
end

return { send = send };
