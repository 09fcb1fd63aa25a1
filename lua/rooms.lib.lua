-- Messages to rooms (XEP-0045): joining under a resource of this module's own, speaking, being
-- reflected, lingering, leaving.

local jid_bare = require "util.jid".bare;
local jid_resource = require "util.jid".resource;
local jid_host = require "util.jid".host;
local new_id = require "util.id".medium;
local st = require "util.stanza";
local timer = require "util.timer";

local hosts = prosody.hosts;
local core_post_stanza = prosody.core_post_stanza;

local settings, waiting, problem_of; -- given to init

local patience = 20; -- seconds for a room to answer

local xmlns_muc = "http://jabber.org/protocol/muc";
local xmlns_muc_user = xmlns_muc.."#user";

-- An occupant is a sender in a room. What is to be said in the room, and is not yet, is in `queue`;
-- what was said and not heard yet is in `pending`, by outcome, and in `by_id`.
local by_address = {}; -- the occupant's own address → occupant
local by_room = {}; -- account, room → occupant

local function presence(occupant, type)
	return st.presence({ from = occupant.address; to = occupant.room.."/"..occupant.nick; type = type; id = new_id() });
end

local function new_queue()
	return { first = 1; last = 0 };
end

local function push(queue, outcome)
	queue.last = queue.last + 1;
	queue[queue.last] = outcome;
end

local function pop(queue) --> outcome
	local outcome = queue[queue.first];
	if outcome then
		queue[queue.first] = nil;
		queue.first = queue.first + 1;
	end
	return outcome;
end

-- It is no longer in the room; whoever waits for it is told why.
local function gone(occupant, problem)
	if by_address[occupant.address] ~= occupant then return; end
	by_address[occupant.address] = nil;
	by_room[occupant.account.."\n"..occupant.room] = nil;
	local queue, pending = occupant.queue, occupant.pending;
	occupant.queue, occupant.pending, occupant.by_id = new_queue(), {}, {};
	for outcome in pairs(pending) do push(queue, outcome); end
	waiting.in_slices(function () return pop(queue); end, function (outcome)
		waiting.settle(outcome, nil, problem);
	end, occupant.account);
end

local function leave(occupant, problem)
	if by_address[occupant.address] ~= occupant then return; end
	gone(occupant, problem);
	if hosts[occupant.origin.host] then
		core_post_stanza(occupant.origin, presence(occupant, "unavailable"), true);
	end
end

local function is_busy(occupant)
	return next(occupant.pending) ~= nil or occupant.queue[occupant.queue.first] ~= nil;
end

-- Leaves once nothing was said for as long as it lingers.
local function linger(occupant)
	timer.add_task(settings.room_linger, function ()
		if by_address[occupant.address] ~= occupant then return nil; end
		local left = occupant.spoke + settings.room_linger - os.time();
		if left > 0 or is_busy(occupant) then return math.max(left, 1); end
		leave(occupant, waiting.unloaded);
	end);
end

local function say(occupant, outcome)
	if outcome.problem then return; end -- given up meanwhile
	occupant.pending[outcome] = true;
	occupant.by_id[outcome.id] = outcome;
	occupant.spoke = os.time();
	local stanza = st.clone(outcome.stanza);
	stanza.attr.from = occupant.address;
	core_post_stanza(occupant.origin, stanza, true);
end

-- Says what is to be said, in order, while it is in the room.
local function speak(occupant)
	if occupant.speaking then return; end
	occupant.speaking = true;
	waiting.in_slices(function ()
		local outcome = occupant.joined and pop(occupant.queue);
		if not outcome then occupant.speaking = nil; end
		return outcome or nil;
	end, function (outcome)
		say(occupant, outcome);
	end, occupant.account);
end

local function join(occupant)
	core_post_stanza(occupant.origin, presence(occupant)
		:tag("x", { xmlns = xmlns_muc }):tag("history", { maxstanzas = "0" }):up():up(), true);
end

local function missing(room)
	return { status = 404; condition = "item-not-found"; detail = room..": there is no such room" };
end

-- The room's word on a presence of the occupant's own.
local function on_presence(occupant, stanza)
	local attr = stanza.attr;
	if attr.type == "error" then
		gone(occupant, problem_of(stanza, occupant.room));
		return;
	end
	local x = stanza:get_child("x", xmlns_muc_user);
	local codes = {};
	if x then
		for status in x:childtags("status") do codes[status.attr.code or ""] = true; end
	end
	if attr.type == "unavailable" then
		if jid_resource(attr.from) == occupant.nick or codes["110"] then
			local destroyed = x and x:get_child("destroy");
			gone(occupant, destroyed
				and { status = 410; condition = "gone"; detail = occupant.room..": the room was destroyed" }
				or { status = 403; condition = "forbidden"; detail = occupant.room..": the sender was removed from the room" });
		end
	elseif codes["110"] and not occupant.joined then
		occupant.nick = jid_resource(attr.from) or occupant.nick;
		if codes["201"] then -- made by the join
			leave(occupant, missing(occupant.room));
		else
			occupant.joined = true;
			speak(occupant);
		end
	end
end

-- Whether a message that the occupant's nickname has said in the room is this one.
local function is_reflection(outcome, stanza)
	local said = outcome.stanza;
	local body, subject = said:get_child_text("body"), said:get_child_text("subject");
	if body == nil and subject ~= nil then
		return stanza:get_child_text("subject") == subject and not stanza:get_child("body");
	end
	-- A service may give it another id.
	return stanza.attr.id == outcome.id or body ~= nil and stanza:get_child_text("body") == body;
end

local function heard(occupant, outcome, status, problem)
	occupant.pending[outcome] = nil;
	if occupant.by_id[outcome.id] == outcome then occupant.by_id[outcome.id] = nil; end
	waiting.settle(outcome, status, problem);
end

-- The room knows the occupant no more, since its service was restarted: joins and says it again.
local function say_again(occupant, outcome)
	outcome.again = true;
	occupant.pending[outcome] = nil;
	push(occupant.queue, outcome);
	if occupant.joined then
		occupant.joined = false;
		join(occupant);
	end
end

local function on_message(occupant, stanza)
	local outcome = stanza.attr.id and occupant.by_id[stanza.attr.id];
	if stanza.attr.type == "error" then
		local problem = problem_of(stanza, occupant.room);
		if outcome and problem.condition == "not-acceptable" and not outcome.again then
			say_again(occupant, outcome);
		elseif outcome then
			heard(occupant, outcome, nil, problem);
		end
	elseif stanza.attr.type == "groupchat" and jid_resource(stanza.attr.from) == occupant.nick then
		if outcome and is_reflection(outcome, stanza) then
			heard(occupant, outcome, 201);
			return;
		end
		for other in pairs(occupant.pending) do
			if is_reflection(other, stanza) then
				heard(occupant, other, 201);
				return;
			end
		end
	end
end

-- Takes whatever is sent to an occupant: nothing of the room reaches the account's clients.
local function incoming(event)
	local stanza = event.stanza;
	local to, from = stanza.attr.to, stanza.attr.from;
	local occupant = to and by_address[to];
	if not occupant then return nil; end
	if stanza.name == "iq" then
		if stanza.attr.type == "get" or stanza.attr.type == "set" then
			event.origin.send(st.error_reply(stanza, "cancel", "service-unavailable"));
		end
	elseif from and jid_bare(from) == occupant.room then
		if stanza.name == "presence" then
			on_presence(occupant, stanza);
		else
			on_message(occupant, stanza);
		end
	end
	return true;
end

-- A room of this server that the join would make is not made, once the service itself would.
local function before_creation(event)
	local stanza = event.stanza;
	local occupant = by_address[stanza.attr.from];
	if occupant and not occupant.joined then
		event.origin.send(st.error_reply(stanza, "cancel", "item-not-found", "There is no such room"));
		return true;
	end
end

local watched = {}; -- host → its events

local function watch(host, names, handler, priority)
	local events = hosts[host] and hosts[host].events;
	if events and watched[host..names[1]] ~= events then
		watched[host..names[1]] = events;
		for _, name in ipairs(names) do
			module:hook_object_event(events, name, handler, priority);
		end
	end
end

local function origin_of(occupant, sender)
	local origin = {
		type = "c2s"; username = sender.username; host = sender.host; resource = jid_resource(occupant.address);
		full_jid = occupant.address; secure = true; log = module._log; role = sender.role;
	};
	function origin.send(stanza)
		incoming({ origin = origin; stanza = stanza });
		return true;
	end
	return origin;
end

-- A nickname that none of the others who are in the room through this module has.
local function nick_for(sender, room) --> string
	local wanted = settings.nick or sender.username;
	local taken = {};
	for _, occupant in pairs(by_address) do
		if occupant.room == room then taken[occupant.nick] = true; end
	end
	local nick, number = wanted, 1;
	while taken[nick] do
		number = number + 1;
		nick = wanted.."-"..number;
	end
	return nick;
end

local function enter(sender, room) --> occupant
	local occupant = {
		address = sender.account.."/post_msg."..new_id(); account = sender.account; room = room;
		nick = nick_for(sender, room); joined = false; queue = new_queue(); pending = {}; by_id = {}; spoke = os.time();
	};
	occupant.origin = origin_of(occupant, sender);
	by_address[occupant.address] = occupant;
	by_room[sender.account.."\n"..room] = occupant;
	watch(sender.host, { "message/full", "presence/full", "iq/full" }, incoming, 1000);
	watch(jid_host(room), { "muc-room-pre-create" }, before_creation, -999);
	linger(occupant);
	return occupant;
end

-- What the room has not reflected in time is told so.
local function limit(occupant, outcome)
	timer.add_task(patience, function ()
		if outcome.status or outcome.problem then return nil; end
		local problem = {
			status = 504; condition = "remote-server-timeout";
			detail = outcome.to..": no answer of the room in "..patience.." seconds";
		};
		heard(occupant, outcome, nil, problem);
		if not occupant.joined then leave(occupant, problem); end
	end);
end

local function send(sender, stanza) --> outcome
	local room = stanza.attr.to;
	local outcome = { id = stanza.attr.id; to = room; stanza = stanza };
	local occupant = by_room[sender.account.."\n"..room];
	local is_new = not occupant;
	if is_new then
		occupant = enter(sender, room);
	end
	push(occupant.queue, outcome);
	if is_new then
		join(occupant);
	else
		speak(occupant);
	end
	if not outcome.status and not outcome.problem then
		limit(occupant, outcome);
	end
	return outcome;
end

local function stop()
	local occupants = {};
	for _, occupant in pairs(by_address) do occupants[#occupants + 1] = occupant; end
	for _, occupant in ipairs(occupants) do leave(occupant, waiting.unloaded); end
end

local function joined() --> number
	local count = 0;
	for _, occupant in pairs(by_address) do
		if occupant.joined then count = count + 1; end
	end
	return count;
end

local function init(the_settings, the_waiting, the_problem_of)
	settings, waiting, problem_of = the_settings, the_waiting, the_problem_of;
	return { send = send; stop = stop; joined = joined };
end

return init;
