-- Sends messages to rooms (XEP-0045), through the sender's occupant in the room. If the room has no such occupant, it makes one.

local new_occupant = module.import "occupant".new;
local occupants = module.import "occupants";
local problems = module.import "problems";
local room_events = module.import "room_events";

local function make_occupant(sender, room) --> occupant; or nil, problem
	local ok, problem = occupants.make_place(sender.account, room);
	if not ok then return nil, problem; end
	local occupant = new_occupant(sender, room, room_events.take);
	occupants.add(occupant);
	room_events.watch(sender.host, room);
	return occupant;
end

-- Sends one message. `unattended`: whether the message comes from a program, which cannot correct a refused message.
local function send(sender, stanza, unattended) --> outcome
	local room = stanza.attr.to;
	local outcome = { id = stanza.attr.id; to = room; stanza = stanza; unattended = unattended };
	local occupant = occupants.find(sender.account, room);
	if not occupant then
		occupant, outcome.problem = make_occupant(sender, room);
	end
	if occupant then occupant:send(outcome); end
	return outcome;
end

local function stop()
	occupants.leave_all(problems.new("unloaded"));
end

return { send = send; stop = stop; count_joined = occupants.count_joined };
