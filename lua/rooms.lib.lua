-- Messages to rooms (XEP-0045): joining under a resource of this module's own, speaking, being
-- reflected, lingering, leaving.

local cache = require "util.cache";
local jid_bare = require "util.jid".bare;
local jid_resource = require "util.jid".resource;
local jid_host = require "util.jid".host;
local new_id = require "util.id".medium;
local new_suffix = require "util.id".tiny;
local resourceprep = require "util.encodings".stringprep.resourceprep;
local now = require "util.time".monotonic;
local st = require "util.stanza";
local timer = require "util.timer";

local config = module.import "config";
local guard = module.import "guard";
local new_messages = module.import "room_messages".new;
local counters = module.import "counters";
local outcomes = module.import "outcomes";
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local show = module.import "display".show;

local hosts = prosody.hosts;
local core_post_stanza = prosody.core_post_stanza;

local patience = 20; -- seconds for a room to answer
local most_tries = 5; -- nicknames that are tried in one join
local most_of_account, most_of_all = 200, 2000; -- rooms that are joined at once

local xmlns_muc = "http://jabber.org/protocol/muc";
local xmlns_muc_user = xmlns_muc.."#user";
local xmlns_disco_info = "http://jabber.org/protocol/disco#info";

-- An occupant is a sender in a room, with its messages (room_messages.lib.lua).
local by_address = {}; -- the occupant's own address → occupant
local by_room = {}; -- account, room → occupant
local by_account = {}; -- account → its occupants → true
local by_last_word = cache.new(most_of_all + 1); -- occupants, in the order in which they spoke last

-- Room, nickname → the occupant who has it, of every host of this server: each host has an instance of this module.
local nicknames = setmetatable(module:shared("/*/post_msg/nicknames"), { __mode = "v" });

local function name_in(room, nick) --> string
	return room.."/"..nick;
end

local function rename(occupant, nick)
	local old = occupant.nick and name_in(occupant.room, occupant.nick);
	if old and nicknames[old] == occupant then nicknames[old] = nil; end
	occupant.nick = nick;
	if nick and not nicknames[name_in(occupant.room, nick)] then nicknames[name_in(occupant.room, nick)] = occupant; end
end

local function is_busy(occupant) --> boolean
	return occupant.messages:oldest() ~= nil;
end

local function count_occupants(counts) --> number
	local count = 0;
	for _, occupant in pairs(by_address) do
		if counts(occupant) then count = count + 1; end
	end
	return count;
end

counters.register("busy_occupants", function () return count_occupants(is_busy); end);
counters.register("unjoined_occupants", function ()
	return count_occupants(function (occupant) return not occupant.joined; end);
end);
counters.register("speaking_occupants", function ()
	return count_occupants(function (occupant) return occupant.speaking; end);
end);

local function settle(occupant, outcome, status, problem)
	outcomes.settle(outcome, status, problem);
	occupant.messages:forget(outcome);
end

-- In and out

local function route(task, occupant, stanza) --> true; or nil and a problem
	return guard.call(task, core_post_stanza, occupant.origin, stanza, true);
end

local function presence(occupant, type)
	return st.presence({ from = occupant.address; to = name_in(occupant.room, occupant.nick); type = type; id = new_id() });
end

local function stop_timer(occupant, name)
	if occupant[name] then timer.stop(occupant[name]); end
	occupant[name] = nil;
end

-- The occupant has left the room, or was never in it: its messages fail with this problem.
local function gone(occupant, problem)
	if by_address[occupant.address] ~= occupant then return; end
	local account, messages = occupant.account, occupant.messages;
	occupant.joined = false;
	by_address[occupant.address] = nil;
	by_room[account.."\n"..occupant.room] = nil;
	by_account[account][occupant] = nil;
	if not next(by_account[account]) then by_account[account] = nil; end
	by_last_word:set(occupant, nil);
	rename(occupant, nil);
	stop_timer(occupant, "lingers");
	stop_timer(occupant, "expires");
	scheduler.in_slices(function () return messages:oldest(); end, function (outcome)
		settle(occupant, outcome, nil, problem);
	end, account);
end

local function leave(occupant, problem)
	if by_address[occupant.address] ~= occupant then return; end
	local farewell = presence(occupant, "unavailable");
	gone(occupant, problem);
	if hosts[occupant.origin.host] then
		route("Leaving a room", occupant, farewell);
	end
end

-- Leaves once nothing was said for as long as it lingers.
local function linger(occupant, seconds)
	occupant.lingers = timer.add_task(seconds, function ()
		occupant.lingers = nil;
		local left = occupant.spoke + config.room_linger - now();
		if left > 0 or is_busy(occupant) then
			linger(occupant, math.max(left, 1));
		else
			leave(occupant, problems.new("unloaded"));
		end
	end);
end

local function join(occupant)
	local ok, problem = route("Joining a room", occupant, presence(occupant)
		:tag("x", { xmlns = xmlns_muc }):tag("history", { maxstanzas = "0" }):reset());
	if not ok then leave(occupant, problem); end
end

-- Takes the next nickname that no other occupant of this module has in the room. The last one that is tried cannot be foreseen, so
-- that nobody can take all of them before.
local function take_nick(occupant) --> boolean
	if occupant.tries == most_tries then return false; end
	occupant.tries = occupant.tries + 1;
	local nick = occupant.wanted;
	if occupant.tries == most_tries then
		nick = nick.."-"..new_suffix():lower();
	else
		repeat
			occupant.number = occupant.number + 1;
			if occupant.number > 1 then nick = occupant.wanted.."-"..occupant.number; end
		until not nicknames[name_in(occupant.room, nick)];
	end
	rename(occupant, nick);
	return true;
end

-- Speaking and being heard

local function say(occupant, outcome)
	occupant.spoke = now();
	by_last_word:set(occupant, true);
	local stanza = st.clone(outcome.stanza);
	stanza.attr.from = occupant.address;
	local ok, problem = route("Sending to a room", occupant, stanza);
	if not ok then settle(occupant, outcome, nil, problem); end
end

-- Says what is to be said, in order, while it is in the room.
local function speak(occupant)
	if occupant.speaking then return; end
	occupant.speaking = true;
	scheduler.in_slices(function ()
		local outcome = occupant.joined and occupant.messages:next();
		if not outcome then occupant.speaking = nil; end
		return outcome or nil;
	end, function (outcome)
		say(occupant, outcome);
	end, occupant.account);
end

-- Fails what the room has not reflected in time.
local function expire(occupant)
	local first = occupant.messages:oldest();
	if occupant.expires or not first then return; end
	occupant.expires = timer.add_task(math.max(first.deadline - now(), 0), function ()
		local problem = {
			status = 504; condition = "remote-server-timeout";
			detail = occupant.room..": no answer of the room in "..patience.." seconds";
		};
		if not occupant.joined then
			occupant.expires = nil;
			leave(occupant, problem);
			return;
		end
		scheduler.in_slices(function ()
			local outcome = occupant.messages:oldest();
			if outcome and outcome.deadline <= now() then return outcome; end
			occupant.expires = nil;
			expire(occupant);
		end, function (outcome)
			settle(occupant, outcome, nil, problem);
		end, occupant.account);
	end);
end

local function missing(room)
	return { status = 404; condition = "item-not-found"; detail = room..": there is no such room" };
end

local function on_joined(occupant, nick)
	rename(occupant, nick);
	if nick ~= occupant.wanted then
		module:log("info", "%s has the nickname %s in the room %s, where %s is taken or reserved",
			show(occupant.account), show(nick), show(occupant.room), show(occupant.wanted));
	end
	occupant.joined, occupant.tries = true, 1;
	speak(occupant);
end

-- A room may let an account have no other nickname than the one that it has registered there (XEP-0045, section 7.12). Where the
-- room names none, the occupant fails with this problem.
local function take_registered_nick(occupant, problem)
	local function take(nick)
		if by_address[occupant.address] ~= occupant then return; end
		nick = nick and resourceprep(nick);
		if not nick or nick == "" then
			gone(occupant, problem);
		else
			rename(occupant, nick);
			join(occupant);
		end
	end
	local query = st.iq({ type = "get"; from = occupant.address; to = occupant.room; id = new_id() })
		:tag("query", { xmlns = xmlns_disco_info; node = "x-roomuser-item" }):reset();
	local ok = guard.call("Asking a room", function ()
		module:context(occupant.origin.host):send_iq(query, occupant.origin, patience):next(function (event)
			local info = event.stanza:get_child("query", xmlns_disco_info);
			local identity = info and info:get_child("identity");
			take(identity and identity.attr.name);
		end, function ()
			take(nil);
		end);
	end);
	if not ok then gone(occupant, problem); end
end

-- A presence of the room about the occupant itself; what it says of others is ignored.
local function on_presence(occupant, stanza)
	local attr = stanza.attr;
	local nick = jid_resource(attr.from);
	if attr.type == "error" then
		if nick and nick ~= occupant.nick then return; end
		local problem = problems.of_error(stanza, occupant.room);
		local oldest = occupant.messages:oldest();
		if not occupant.joined and problem.condition == "conflict" and oldest and oldest.unattended and take_nick(occupant) then
			join(occupant);
		elseif not occupant.joined and problem.condition == "not-acceptable" and not occupant.has_asked then
			occupant.has_asked = true;
			take_registered_nick(occupant, problem);
		else
			gone(occupant, problem);
		end
		return;
	end
	local x = stanza:get_child("x", xmlns_muc_user);
	local codes = {};
	if x then
		for status in x:childtags("status") do codes[status.attr.code or ""] = true; end
	end
	if attr.type == "unavailable" then
		if nick == occupant.nick or codes["110"] then
			local destroyed = x and x:get_child("destroy");
			gone(occupant, destroyed
				and { status = 410; condition = "gone"; detail = occupant.room..": the room was destroyed" }
				or { status = 403; condition = "forbidden"; detail = occupant.room..": the sender was removed from the room" });
		end
	elseif codes["110"] and not occupant.joined then
		if codes["201"] then -- made by the join
			rename(occupant, nick or occupant.nick);
			leave(occupant, missing(occupant.room));
		else
			on_joined(occupant, nick or occupant.nick);
		end
	end
end

-- The room service was restarted and has lost the occupant: rejoins and says it again.
local function say_again(occupant, outcome)
	outcome.again = true;
	occupant.messages:say_again(outcome);
	if occupant.joined then
		occupant.joined = false;
		join(occupant);
	end
end

-- Nobody reads what an occupant of the room writes to the nickname of this module's. The condition is one for which rooms keep an
-- occupant whose client answers with it.
local function refuse_private(occupant, stanza)
	if stanza:get_child("body") then
		route("Answering a private message", occupant,
			st.error_reply(stanza, "cancel", "not-allowed", "Messages to this nickname reach nobody: it only sends"));
	end
end

local function on_message(occupant, stanza)
	local type, nick = stanza.attr.type, jid_resource(stanza.attr.from);
	local is_own = nick == nil or nick == occupant.nick;
	if type == "groupchat" then
		local outcome = nick == occupant.nick and occupant.messages:reflected_by(stanza);
		if outcome then settle(occupant, outcome, 201); end
	elseif type ~= "error" then
		if nick then refuse_private(occupant, stanza); end
	elseif is_own then -- any occupant can send an error through the room
		local outcome = occupant.messages:with_id(stanza.attr.id);
		local problem = problems.of_error(stanza, occupant.room);
		if outcome and problem.condition == "not-acceptable" and not outcome.again then
			say_again(occupant, outcome);
		elseif outcome then
			settle(occupant, outcome, nil, problem);
		end
	end
end

-- Takes what a room sends to an occupant: nothing of it reaches the account's clients. All else goes on to the account.
local function incoming(event)
	local stanza = event.stanza;
	local to, from = stanza.attr.to, stanza.attr.from;
	local occupant = to and by_address[to];
	if not occupant or not from or jid_bare(from) ~= occupant.room then return nil; end
	if stanza.name == "presence" then
		on_presence(occupant, stanza);
	elseif stanza.name == "message" then
		on_message(occupant, stanza);
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

-- Makes place for one more room of an account: a room where nothing was said for long, and nothing is awaited, is left.
local function make_place(account, room) --> problem
	local count, idle = 0, nil;
	for occupant in pairs(by_account[account] or {}) do
		count = count + 1;
		if not is_busy(occupant) and (not idle or occupant.spoke < idle.spoke) then idle = occupant; end
	end
	if count < most_of_account then
		count = by_last_word:count();
		if count < most_of_all then return nil; end
		idle = by_last_word:tail();
		if is_busy(idle) then idle = nil; end
	end
	if not idle then
		return {
			status = 503; condition = "resource-constraint"; temporary = true;
			detail = ("%s: %d rooms are being joined or spoken to already; try again in a moment"):format(room, count);
		};
	end
	leave(idle, problems.new("unloaded"));
end

local function enter(sender, room) --> occupant
	local account = sender.account;
	local occupant = {
		address = account.."/post_msg."..new_id(); account = account; room = room; wanted = config.nick or sender.username;
		number = 0; tries = 0; joined = false; spoke = now();
		messages = new_messages();
	};
	take_nick(occupant);
	occupant.origin = origin_of(occupant, sender);
	by_address[occupant.address] = occupant;
	by_room[account.."\n"..room] = occupant;
	by_account[account] = by_account[account] or {};
	by_account[account][occupant] = true;
	by_last_word:set(occupant, true);
	watch(sender.host, { "message/full", "presence/full" }, incoming, 1000);
	watch(jid_host(room), { "muc-room-pre-create" }, before_creation, -999);
	linger(occupant, config.room_linger);
	return occupant;
end

-- `unattended`: a program posts it that cannot correct what is refused.
local function send(sender, stanza, unattended) --> outcome
	local room = stanza.attr.to;
	local outcome = { id = stanza.attr.id; to = room; stanza = stanza; deadline = now() + patience; unattended = unattended };
	local occupant = by_room[sender.account.."\n"..room];
	local is_new = not occupant;
	if is_new then
		outcome.problem = make_place(sender.account, room);
		if outcome.problem then return outcome; end
		occupant = enter(sender, room);
	end
	occupant.messages:add(outcome);
	if is_new then
		join(occupant);
	else
		speak(occupant);
	end
	expire(occupant);
	return outcome;
end

local function stop()
	local occupants = {};
	for _, occupant in pairs(by_address) do occupants[#occupants + 1] = occupant; end
	for _, occupant in ipairs(occupants) do leave(occupant, problems.new("unloaded")); end
end

local function joined() --> number
	return count_occupants(function (occupant) return occupant.joined; end);
end

return { send = send; stop = stop; joined = joined };
