-- Queues: first in, first out. A queue is a plain table without methods, because turns.lib.lua keeps its queues over a reload, and
-- methods would be old code then.

local function new() --> queue
	return { first = 1; last = 0 };
end

local function push(queue, item)
	queue.last = queue.last + 1;
	queue[queue.last] = item;
end

local function is_empty(queue) --> boolean
	return queue.first > queue.last;
end

local function count(queue) --> number
	return queue.last - queue.first + 1;
end

-- The first item, which stays in the queue.
local function peek(queue) --> item, or nil
	return queue[queue.first];
end

local function pop(queue) --> item, or nil
	if is_empty(queue) then return nil; end
	local item = queue[queue.first];
	queue[queue.first] = nil;
	queue.first = queue.first + 1;
	return item;
end

return { new = new; push = push; pop = pop; peek = peek; is_empty = is_empty; count = count };
