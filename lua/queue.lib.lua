-- First in, first out.

local function new()
	return { first = 1; last = 0 };
end

local function push(queue, item)
	queue.last = queue.last + 1;
	queue[queue.last] = item;
end

local function is_empty(queue) --> boolean
	return queue.first > queue.last;
end

local function pop(queue) --> item, or nil
	if is_empty(queue) then return nil; end
	local item = queue[queue.first];
	queue[queue.first] = nil;
	queue.first = queue.first + 1;
	return item;
end

return { new = new; push = push; pop = pop; is_empty = is_empty };
