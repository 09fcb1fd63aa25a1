-- A component that does to a message what the localpart of the address says:
--   bounce.CONDITION     error, at once, to the session that sent
--   wait.CONDITION       the same, of the type "wait": try again later (RFC 6120, section 8.3.2)
--   routed.CONDITION     error, at once, routed to the sender's address
--   later.MS.CONDITION   error, after that many milliseconds
--   receipt.MS           delivery receipt (XEP-0184), after that many milliseconds, where one was asked for
--   reflect.TEXT         reflection, as of a room, with another id
--   occupant.CONDITION   error (gone) and reflection of another occupant of the room, then error of the room itself
-- Any other address swallows it. Whoever joins an address as a room (XEP-0045) is let in.

local jid_node = require "util.jid".node;
local st = require "util.stanza";

local xmlns_muc = "http://jabber.org/protocol/muc";
local xmlns_receipts = "urn:xmpp:receipts";

local function error_reply(stanza, condition, kind)
	return st.error_reply(stanza, kind or "cancel", condition, "As asked for");
end

local function after(milliseconds, callback)
	module:add_timer(tonumber(milliseconds) / 1000, callback);
end

local actions = {};

function actions.bounce(event, condition)
	event.origin.send(error_reply(event.stanza, condition));
end

function actions.wait(event, condition)
	event.origin.send(error_reply(event.stanza, condition, "wait"));
end

function actions.routed(event, condition)
	module:send(error_reply(event.stanza, condition));
end

function actions.later(event, argument)
	local milliseconds, condition = argument:match("^(%d+)%.(.+)$");
	after(milliseconds, function () module:send(error_reply(event.stanza, condition)); end);
end

function actions.receipt(event, milliseconds)
	local stanza = event.stanza;
	if not stanza:get_child("request", xmlns_receipts) then return; end
	local receipt = st.message({ from = stanza.attr.to, to = stanza.attr.from, type = stanza.attr.type })
		:tag("received", { xmlns = xmlns_receipts, id = stanza.attr.id }):up();
	after(milliseconds, function () module:send(receipt); end);
end

local nicks = {}; -- address of an occupant → room/nickname

function actions.reflect(event)
	local stanza = st.clone(event.stanza);
	stanza.attr.from, stanza.attr.to, stanza.attr.id = nicks[event.stanza.attr.from], event.stanza.attr.from, "of-the-room";
	module:send(stanza);
end

function actions.occupant(event, condition)
	local stanza = event.stanza;
	local occupant = stanza.attr.to.."/occupant";
	local forged = error_reply(stanza, "gone");
	forged.attr.from = occupant;
	module:send(forged);
	local copied = st.clone(stanza);
	copied.attr.from, copied.attr.to = occupant, stanza.attr.from;
	module:send(copied);
	module:send(error_reply(stanza, condition));
end

local function handle_message(event)
	if event.stanza.attr.type ~= "error" then
		local name, argument = (jid_node(event.stanza.attr.to) or ""):match("^(%l+)%.(.+)$");
		local action = actions[name];
		if action then action(event, argument); end
	end
	return true;
end

module:hook("message/host", handle_message);
module:hook("message/bare", handle_message);
module:hook("message/full", handle_message);

module:hook("presence/full", function (event)
	local stanza = event.stanza;
	if stanza:get_child("x", xmlns_muc) then
		nicks[stanza.attr.from] = stanza.attr.to;
		module:send(st.presence({ from = stanza.attr.to, to = stanza.attr.from })
			:tag("x", { xmlns = xmlns_muc.."#user" }):tag("status", { code = "110" }):reset());
	end
	return true;
end);
