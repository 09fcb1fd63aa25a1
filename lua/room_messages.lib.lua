-- The messages of one occupant of a room: what is to be said, and what was said and is not reflected yet. Each is an outcome with
-- its stanza. The cost of a look-up does not grow with their number.

local fifo = module.import "queue";

local new_queue, push, pop = fifo.new, fifo.push, fifo.pop;

local function is_settled(outcome) --> boolean
	return outcome.status ~= nil or outcome.problem ~= nil;
end

-- The first outcome that is not settled; the ones before it are dropped.
local function first_open(queue) --> outcome or nil
	local outcome = queue[queue.first];
	while outcome and is_settled(outcome) do
		pop(queue);
		outcome = queue[queue.first];
	end
	return outcome;
end

local messages = {};
messages.__index = messages;

local function new()
	return setmetatable({
		unsaid = new_queue(); -- in the order in which they are to be said
		open = new_queue(); -- all that are not settled, in the order in which they came
		by_id = {}; by_body = {}; by_subject = {}; -- what was said, in queues
	}, messages);
end

local function add_to(queues, key, outcome)
	local queue = queues[key] or new_queue();
	queues[key] = queue;
	push(queue, outcome);
end

local function look_up(queues, key) --> outcome or nil
	local queue = key and queues[key];
	local outcome = queue and first_open(queue);
	if queue and not outcome then queues[key] = nil; end
	return outcome;
end

function messages:add(outcome)
	outcome.body, outcome.subject = outcome.stanza:get_child_text("body"), outcome.stanza:get_child_text("subject");
	push(self.unsaid, outcome);
	push(self.open, outcome);
end

function messages:say_again(outcome)
	push(self.unsaid, outcome);
end

-- The next message to be said; from now on its reflection is recognised.
function messages:next() --> outcome or nil
	local outcome = first_open(self.unsaid);
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
	return first_open(self.open);
end

function messages:with_id(id) --> outcome or nil
	return look_up(self.by_id, id);
end

-- The message that a stanza of the occupant's own nickname reflects.
function messages:reflected_by(stanza) --> outcome or nil
	local outcome = look_up(self.by_id, stanza.attr.id);
	-- A lone subject changes the room: what counts is that the room shows it.
	if outcome and (outcome.body or not outcome.subject) then return outcome; end
	if stanza:get_child("body") then
		return look_up(self.by_body, stanza:get_child_text("body")); -- a service may give it another id
	end
	return look_up(self.by_subject, stanza:get_child_text("subject"));
end

-- The outcome is settled.
function messages:forget(outcome)
	look_up(self.by_id, outcome.id);
	look_up(self.by_body, outcome.body);
	look_up(self.by_subject, outcome.subject);
	outcome.stanza, outcome.body, outcome.subject = nil, nil, nil;
end

return { new = new };
