-- Takes the stanzas that rooms send to occupants (occupant.lib.lua), so that they do not reach the account's clients; and keeps rooms of
-- this server from being made by a message to them.

local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local jid_resource = require "util.jid".resource;
local st = require "util.stanza";

local host_events = module.import "host_events";
local nicknames = module.import "nicknames";
local occupants = module.import "occupants";
local problems = module.import "problems";

local xmlns_muc_user = "http://jabber.org/protocol/muc#user";

-- Presences

local function status_codes(x) --> { code → true }
	local codes = {};
	if x then
		for status in x:childtags("status") do codes[status.attr.code or ""] = true; end
	end
	return codes;
end

-- For a room that does not exist, or does not exist any more.
local advice = "; make the room with a chat client, and make it persistent, since any other room ends when its last occupant leaves";

local function take_error_presence(occupant, stanza)
	local nick = jid_resource(stanza.attr.from);
	if nick and nick ~= occupant.nick then return; end
	local problem = problems.of_error(stanza, occupant.room);
	if problem.condition == "item-not-found" or problem.condition == "gone" then problem.detail = problem.detail..advice; end
	if occupant.joined then
		occupant:close(problem);
	else
		occupant:refuse(problem);
	end
end

local function take_unavailable(occupant, x)
	if x and x:get_child("destroy") then
		occupant:close(problems.new("gone", occupant.room..": the room was destroyed"..advice));
	else
		occupant:close(problems.new("removed", occupant.room..": the sender was removed from the room"));
	end
end

-- The first presence of the room about the occupant itself.
local function take_entry(occupant, nick, codes)
	nick = nick or occupant.nick;
	if codes["201"] then -- the join has created the room
		nicknames.set(occupant, nick);
		occupant:leave(problems.new("not_found", occupant.room..": there is no such room"..advice));
	else
		occupant:enter(nick);
	end
end

-- Takes a presence that a room sends to an occupant. Presences about other occupants are ignored.
local function take_presence(occupant, stanza)
	local type, nick = stanza.attr.type, jid_resource(stanza.attr.from);
	if type == "error" then return take_error_presence(occupant, stanza); end
	local x = stanza:get_child("x", xmlns_muc_user);
	local codes = status_codes(x);
	if type == "unavailable" then
		if nick == occupant.nick or codes["110"] then take_unavailable(occupant, x); end
	elseif codes["110"] and not occupant.joined then
		take_entry(occupant, nick, codes);
	end
end

-- Messages

-- Refuses a private message of another occupant, because nobody would read it. With this condition, the room does not remove this
-- occupant for its answer.
local function refuse_private(occupant, stanza)
	if stanza:get_child("body") then
		occupant:route(st.error_reply(stanza, "cancel", "not-allowed", "Messages to this nickname reach nobody: it only sends"),
			"Answering a private message");
	end
end

local function take_error_message(occupant, stanza)
	local outcome = occupant.messages:find(stanza.attr.id);
	if not outcome then return; end
	local problem = problems.of_error(stanza, occupant.room);
	if problem.condition == "not-acceptable" and not outcome.is_repeated then
		occupant:repeat_message(outcome);
	else
		occupant:settle(outcome, nil, problem);
	end
end

local function take_message(occupant, stanza)
	local type, nick = stanza.attr.type, jid_resource(stanza.attr.from);
	if type == "groupchat" then
		local outcome = nick == occupant.nick and occupant.messages:find_reflected(stanza);
		if outcome then occupant:settle(outcome, 201); end
	elseif type ~= "error" then
		if nick then refuse_private(occupant, stanza); end
	elseif nick == nil or nick == occupant.nick then -- other occupants can send errors through the room too
		take_error_message(occupant, stanza);
	end
end

-- Stanzas

-- Takes a stanza that a room sends to an occupant.
local function take(stanza) --> true; or nil if it is for the account
	local to, from = stanza.attr.to, stanza.attr.from;
	local occupant = to and occupants.find_by_address(to);
	if not occupant or not from or jid_bare(from) ~= occupant.room then return nil; end
	if stanza.name == "presence" then
		take_presence(occupant, stanza);
	elseif stanza.name == "message" then
		take_message(occupant, stanza);
	end
	return true;
end

-- Refuses to create a room that an occupant joins. The priority is low, so the room service's own rules come first.
local function refuse_new_room(event)
	local stanza = event.stanza;
	local occupant = occupants.find_by_address(stanza.attr.from);
	if occupant and not occupant.joined then
		event.origin.send(st.error_reply(stanza, "cancel", "item-not-found", "There is no such room"));
		return true;
	end
end

local watch_sender = host_events.watcher({ "message/full", "presence/full" }, function (event) return take(event.stanza); end, 1000);
local watch_rooms = host_events.watcher({ "muc-room-pre-create" }, refuse_new_room, -999);

local function watch(sender_host, room)
	watch_sender(sender_host);
	watch_rooms(jid_host(room));
end

return { take = take; watch = watch };
