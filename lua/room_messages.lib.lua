-- The messages of one occupant of a room: messages to be said, and messages that were said and that the room has not reflected yet.
-- Each is an outcome (outcomes.lib.lua) with its stanza. The cost of a look-up does not grow with their number.

local queue = module.import "queue";

local peek, pop, push = queue.peek, queue.pop, queue.push;

local function is_settled(outcome) --> boolean
	return outcome.status ~= nil or outcome.problem ~= nil;
end

-- The first outcome that is not settled; the settled ones before it are dropped.
local function first_unsettled(outcomes) --> outcome or nil
	local outcome = peek(outcomes);
	while outcome and is_settled(outcome) do
		pop(outcomes);
		outcome = peek(outcomes);
	end
	return outcome;
end

local messages = {};
messages.__index = messages;

local function new()
	return setmetatable({
		unsaid = queue.new(); -- messages to be said, in this order
		unsettled = queue.new(); -- all messages without an outcome, in the order in which they came
		-- Messages that were said, in queues:
		by_id = {}; by_body = {}; by_subject = {};
	}, messages);
end

local function add_to(queues, key, outcome)
	queues[key] = queues[key] or queue.new();
	push(queues[key], outcome);
end

local function look_up(queues, key) --> outcome or nil
	local found = key and queues[key];
	local outcome = found and first_unsettled(found);
	if found and not outcome then queues[key] = nil; end
	return outcome;
end

function messages:add(outcome)
	outcome.body, outcome.subject = outcome.stanza:get_child_text("body"), outcome.stanza:get_child_text("subject");
	push(self.unsaid, outcome);
	push(self.unsettled, outcome);
end

-- A message that was said is to be said once more.
function messages:repeat_message(outcome)
	push(self.unsaid, outcome);
end

-- Takes the next message to be said. From now on, its reflection is recognised.
function messages:take_next() --> outcome or nil
	local outcome = first_unsettled(self.unsaid);
	if not outcome then return nil; end
	pop(self.unsaid);
	add_to(self.by_id, outcome.id, outcome);
	if outcome.body then
		add_to(self.by_body, outcome.body, outcome);
	elseif outcome.subject then
		add_to(self.by_subject, outcome.subject, outcome);
	end
	return outcome;
end

function messages:oldest() --> outcome or nil
	return first_unsettled(self.unsettled);
end

function messages:find(id) --> outcome or nil
	return look_up(self.by_id, id);
end

-- The message whose reflection a stanza is. The stanza comes from the occupant's own nickname.
function messages:find_reflected(stanza) --> outcome or nil
	local outcome = look_up(self.by_id, stanza.attr.id);
	-- A message with a subject alone changes the room: what counts is that the room shows the subject.
	if outcome and (outcome.body or not outcome.subject) then return outcome; end
	if stanza:get_child("body") then
		return look_up(self.by_body, stanza:get_child_text("body")); -- a service may give the message another id
	end
	return look_up(self.by_subject, stanza:get_child_text("subject"));
end

-- Drops a message whose outcome is settled.
function messages:forget(outcome)
	look_up(self.by_id, outcome.id);
	look_up(self.by_body, outcome.body);
	look_up(self.by_subject, outcome.subject);
	outcome.stanza, outcome.body, outcome.subject = nil, nil, nil;
end

return { new = new };
