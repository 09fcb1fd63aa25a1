-- Hands a text to a digest or a signature of the native half, in pieces that leave the event loop free.

local scheduler = module.import "scheduler";

return function (sink, text, account) --> boolean: whether the request goes on
	local position = 0;
	repeat
		position = sink:add(text, position);
		if position and not scheduler.breathe(account) then return false; end
	until not position;
	return true;
end
