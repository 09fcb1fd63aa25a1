-- An occupant: a sender in a room (XEP-0045), with its messages (room_messages.lib.lua). It joins under a resource that no client of
-- the account has, sends its messages, waits until the room reflects them, stays for a while, and leaves.

local resourceprep = require "util.encodings".stringprep.resourceprep;
local new_suffix = require "util.id".tiny;
local new_id = require "util.id".medium;
local now = require "util.time".monotonic;
local st = require "util.stanza";
local timer = require "util.timer";

local config = module.import "config";
local new_messages = module.import "room_messages".new;
local nicknames = module.import "nicknames";
local occupants = module.import "occupants";
local outcomes = module.import "outcomes";
local problems = module.import "problems";
local sessions = module.import "sessions";
local show = module.import "display".show;
local turns = module.import "turns";

local hosts = prosody.hosts;

local patience = 20; -- seconds to wait for an answer of a room
local max_tries = 5; -- nicknames that are tried in one join

local xmlns_muc = "http://jabber.org/protocol/muc";
local xmlns_disco_info = "http://jabber.org/protocol/disco#info";

local occupant = {};
occupant.__index = occupant;

-- `receive` is called with each stanza that Prosody sends to the occupant's session itself.
local function new(sender, room, receive) --> occupant
	local address = sessions.new_address(sender);
	return setmetatable({
		address = address; account = sender.account; room = room; session = sessions.new(sender, address, receive);
		messages = new_messages();
		wanted_nick = config.nick or sender.username; number = 0; tries = 0; -- of nicknames
		joined = false; spoke_at = now();
		-- nick: its nickname in the room, or nil before it joins; is_speaking: whether it is sending its messages
	}, occupant);
end

function occupant:is_busy() --> boolean
	return self.messages:oldest() ~= nil;
end

function occupant:settle(outcome, status, problem)
	outcomes.settle(outcome, status, problem);
	self.messages:forget(outcome);
end

function occupant:route(stanza, task) --> true; or nil, problem
	return sessions.route(self.session, stanza, task);
end

function occupant:new_presence(type) --> stanza
	return st.presence({ from = self.address; to = nicknames.address_of(self.room, self.nick); type = type; id = new_id() });
end

function occupant:stop_timer(name)
	if self[name] then timer.stop(self[name]); end
	self[name] = nil;
end

-- Leaving

-- Ends an occupant that is not in the room (any more). Its messages fail with this problem.
function occupant:close(problem)
	if not occupants.contains(self) then return; end
	self.joined = false;
	occupants.remove(self);
	nicknames.set(self, nil);
	self:stop_timer("leave_timer");
	self:stop_timer("expiry_timer");
	turns.in_slices(function () return self.messages:oldest(); end, function (outcome)
		self:settle(outcome, nil, problem);
	end, self.account);
end

function occupant:leave(problem)
	if not occupants.contains(self) then return; end
	local farewell = self:new_presence("unavailable");
	self:close(problem);
	if hosts[self.session.host] then
		self:route(farewell, "Leaving a room");
	end
end

-- Leaves after `seconds`. If the occupant is busy then, or has spoken within the last post_msg_room_linger seconds, it stays longer.
function occupant:linger(seconds)
	self.leave_timer = timer.add_task(seconds, function ()
		self.leave_timer = nil;
		local seconds_left = self.spoke_at + config.room_linger - now();
		if seconds_left > 0 or self:is_busy() then
			self:linger(math.max(seconds_left, 1));
		else
			self:leave(problems.new("unloaded"));
		end
	end);
end

-- Joining

function occupant:join()
	local ok, problem = self:route(self:new_presence()
		:tag("x", { xmlns = xmlns_muc }):tag("history", { maxstanzas = "0" }):reset(), "Joining a room");
	if not ok then self:leave(problem); end
end

-- Takes the next nickname that no other occupant of this module has in the room. The last nickname that is tried is random, so that
-- nobody can occupy all of them in advance.
function occupant:take_next_nick() --> boolean
	if self.tries == max_tries then return false; end
	self.tries = self.tries + 1;
	local nick = self.wanted_nick;
	if self.tries == max_tries then
		nick = nick.."-"..new_suffix():lower();
	else
		repeat
			self.number = self.number + 1;
			if self.number > 1 then nick = self.wanted_nick.."-"..self.number; end
		until not nicknames.is_taken(self.room, nick);
	end
	nicknames.set(self, nick);
	return true;
end

-- Joins for the first time. The occupant has a message already: an answer of the room may settle it at once.
function occupant:start()
	self:take_next_nick();
	self:linger(config.room_linger);
	self:join();
end

-- The room has let the occupant in, under this nickname.
function occupant:enter(nick)
	nicknames.set(self, nick);
	if nick ~= self.wanted_nick then
		module:log("info", "%s has the nickname %s in the room %s, where %s is taken or reserved",
			show(self.account), show(nick), show(self.room), show(self.wanted_nick));
	end
	self.joined, self.tries = true, 1;
	self:speak();
end

-- The room has refused to let the occupant in. If its nickname is taken, and its message comes from a program, which
-- cannot choose another, it tries the next one.
function occupant:refuse(problem)
	local oldest = self.messages:oldest();
	if problem.condition == "conflict" and oldest and oldest.unattended and self:take_next_nick() then
		self:join();
	elseif problem.condition == "not-acceptable" and not self.has_asked then
		self.has_asked = true;
		self:take_registered_nick(problem);
	else
		self:close(problem);
	end
end

-- Joins under the nickname that the account has registered in the room: the room may refuse all others (XEP-0045, section 7.12). If the
-- room names none, the messages fail with this problem.
function occupant:take_registered_nick(problem)
	local payload = st.stanza("query", { xmlns = xmlns_disco_info; node = "x-roomuser-item" });
	sessions.ask(self.session, { to = self.room; payload = payload; seconds = patience }, function (answer)
		if not occupants.contains(self) then return; end
		local info = answer and answer.attr.type == "result" and answer:get_child("query", xmlns_disco_info);
		local identity = info and info:get_child("identity");
		local nick = identity and identity.attr.name and resourceprep(identity.attr.name);
		if not nick or nick == "" then
			self:close(problem);
		else
			nicknames.set(self, nick);
			self:join();
		end
	end);
end

-- Speaking

function occupant:say(outcome)
	self.spoke_at = now();
	occupants.note_message(self);
	local stanza = st.clone(outcome.stanza);
	stanza.attr.from = self.address;
	local ok, problem = self:route(stanza, "Sending to a room");
	if not ok then self:settle(outcome, nil, problem); end
end

-- Sends the messages that are waiting, in order, as long as the occupant is in the room.
function occupant:speak()
	if self.is_speaking then return; end
	self.is_speaking = true;
	turns.in_slices(function ()
		local outcome = self.joined and self.messages:take_next();
		if not outcome then self.is_speaking = nil; end
		return outcome or nil;
	end, function (outcome)
		self:say(outcome);
	end, self.account);
end

-- The room has lost the occupant, such as by a restart of its service: rejoins, and sends the message once more.
function occupant:repeat_message(outcome)
	outcome.is_repeated = true;
	self.messages:repeat_message(outcome);
	if self.joined then
		self.joined = false;
		self:join();
	end
end

-- Sends a message. Its outcome gets a status or a problem once the room has reflected or refused it, or has not answered in time.
function occupant:send(outcome)
	outcome.deadline = now() + patience;
	self.messages:add(outcome);
	if self.nick then self:speak(); else self:start(); end
	self:expire_messages();
end

-- Waiting for the room

-- Fails the messages that the room has not reflected in time.
function occupant:expire_messages()
	local first = self.messages:oldest();
	if self.expiry_timer or not first then return; end
	self.expiry_timer = timer.add_task(math.max(first.deadline - now(), 0), function ()
		local problem = problems.new("remote_timeout", self.room..": no answer of the room in "..patience.." seconds");
		if not self.joined then
			self.expiry_timer = nil;
			self:leave(problem);
		else
			self:fail_overdue(problem);
		end
	end);
end

function occupant:fail_overdue(problem)
	turns.in_slices(function ()
		local outcome = self.messages:oldest();
		if outcome and outcome.deadline <= now() then return outcome; end
		self.expiry_timer = nil;
		self:expire_messages();
	end, function (outcome)
		self:settle(outcome, nil, problem);
	end, self.account);
end

return { new = new };
