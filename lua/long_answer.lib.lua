-- Answers with a long body, which is written piece by piece.

local connections = module.import "connections";
local server = module.import "prosody";

-- A body of at most so many bytes is written at once. Prosody buffers an answer that the client does not read, and handles the client's
-- next request: with long answers, a few short requests would fill the memory.
local longest_at_once = 4096;
local longest_piece = 32 * 1024; -- bytes

local function is_long(answer) --> boolean
	local body = type(answer) == "table" and answer.body;
	return type(body) == "userdata" or body and #body > longest_at_once or false;
end

-- A text as `send_file` reads it.
local function pieces_of(text)
	local position = 1;
	return {
		read = function ()
			local piece = text:sub(position, position + longest_piece - 1);
			position = position + #piece;
			return piece ~= "" and piece or nil;
		end;
		close = function () text = ""; end;
	};
end

-- Writes an answer if it is long: each piece when the client has received the one before. The client's next request waits until the end.
-- Prosody 13.0.1 loses the part of a text after 4 MiB, and a long text would block the event loop.
local function write(response, answer) --> true; or nil if the answer is short
	if not is_long(answer) then return nil; end
	local body, conn = answer.body, response.conn;
	local length = #body;
	if type(body) == "string" then body = pieces_of(body); end
	if server.is_finished(response) then -- the client has gone
		body:close();
		return true;
	end
	response.status_code = answer.status_code;
	for name, value in pairs(answer.headers) do response.headers[name] = value; end
	response.headers.content_length = ("%d"):format(length);
	server.send_file(response, body, function ()
		body:close(); -- the native half's memory: Lua's garbage collector does not see it
		connections.read_rest(conn);
	end);
	return true; -- if the client has gone, nil would have the event go on to the handler of "POST /*"
end

return { write = write };
