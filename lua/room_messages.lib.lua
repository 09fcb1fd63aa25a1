-- The messages of one occupant of a room: messages that wait, and sent messages that the room has not reflected yet. Each is an outcome
-- (outcomes.lib.lua) with its stanza. The cost of a lookup does not grow with the number of messages.

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
		waiting_queue = queue.new(); -- messages that wait to be sent, in this order
		unsettled_queue = queue.new(); -- all messages without an outcome, in the order in which they came
		-- Sent messages, in queues:
		by_id = {}; by_body = {}; by_subject = {};
	}, messages);
end

local function add_to(queues, key, outcome)
	queues[key] = queues[key] or queue.new();
	push(queues[key], outcome);
end

local function look_up(queues, key) --> outcome or nil
	local queue_of_key = key and queues[key];
	local outcome = queue_of_key and first_unsettled(queue_of_key);
	if queue_of_key and not outcome then queues[key] = nil; end
	return outcome;
end

function messages:add(outcome)
	outcome.body, outcome.subject = outcome.stanza:get_child_text("body"), outcome.stanza:get_child_text("subject");
	push(self.waiting_queue, outcome);
	push(self.unsettled_queue, outcome);
end

-- Sends a message once more.
function messages:repeat_message(outcome)
	push(self.waiting_queue, outcome);
end

-- Takes the next message that waits to be sent. From now on, its reflection is recognised.
function messages:take_next() --> outcome or nil
	local outcome = first_unsettled(self.waiting_queue);
	if not outcome then return nil; end
	pop(self.waiting_queue);
	add_to(self.by_id, outcome.id, outcome);
	if outcome.body then
		add_to(self.by_body, outcome.body, outcome);
	elseif outcome.subject then
		add_to(self.by_subject, outcome.subject, outcome);
	end
	return outcome;
end

function messages:oldest() --> outcome or nil
	return first_unsettled(self.unsettled_queue);
end

function messages:find(id) --> outcome or nil
	return look_up(self.by_id, id);
end

-- The message that a stanza reflects. The stanza comes from the occupant's own nickname.
function messages:find_reflected(stanza) --> outcome or nil
	local outcome = look_up(self.by_id, stanza.attr.id);
	-- A message with only a subject changes the room, so wait until the room shows the subject.
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
