-- Answers with a long body, which is written piece by piece.

local connections = module.import "connections";
local server = module.import "prosody";

-- Bytes of a body that is written at once. Prosody keeps what a client does not read, and goes on with the client's next request:
-- with long answers, a few bytes of requests would fill the memory.
local longest_at_once = 4096;
local longest_piece = 32 * 1024; -- bytes

local function is_long(answer) --> boolean
	local body = type(answer) == "table" and answer.body;
	return type(body) == "userdata" or body and #body > longest_at_once or false;
end

-- A text as `send_file` reads it.
local function pieces_of(text)
	local at = 1;
	return {
		read = function ()
			local piece = text:sub(at, at + longest_piece - 1);
			at = at + #piece;
			return piece ~= "" and piece or nil;
		end;
		close = function () text = ""; end;
	};
end

-- Writes an answer if it is long: each piece when the client has taken the one before; the client's next request waits until then.
-- Prosody 13.0.1 loses what is beyond 4 MiB of a text, and a long text would hold the event loop.
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
		body:close(); -- its memory is not Lua's
		connections.read_rest(conn);
	end);
	return true; -- if the client has gone, nil would have the event go on to the handler of "POST /*"
end

return { write = write };
