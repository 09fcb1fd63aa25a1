-- Checks the framing of a request (RFC 9112, section 6): refuses a request whose body cannot be read.

local incoming = module.import "incoming";
local problems = module.import "problems";
local server = module.import "prosody";

-- Closes the connection after some seconds. If bytes arrive after the close, the system resets the connection, and the answer can be lost.
local function end_connection(exchange, seconds)
	exchange.is_last = true;
	server.set_persistent(exchange.response, true);
	module:add_timer(seconds, function () exchange.request.conn:close(); end);
end

local function refuse(kind, detail) --> nil, problem
	return nil, problems.new(kind, detail, { headers = { connection = "close" } });
end

local function check_headers(exchange) --> true; or nil, problem
	local headers = exchange.headers;
	local kind, detail = incoming.fault_of(headers);
	if kind then
		end_connection(exchange, 1);
		if kind == "too_large" then
			exchange.body = false;
			return true;
		end
		return refuse(kind, detail);
	elseif headers.transfer_encoding or headers.content_length and not headers.content_length:find("^%d+$") then
		end_connection(exchange, 1);
		return refuse("bad_framing", "the end of the body cannot be found on this connection; send Content-Length, or open a new connection");
	end
	return true;
end

local function check(exchange) --> true; or nil, problem
	if exchange.body == false then
		-- The body is refused in any case, but not before its sender is known. The rest is read and dropped: an earlier close would
		-- reset the connection, and a proxy that is still sending would lose the answer (RFC 9112, section 9.6).
		server.discard_body(exchange.request);
		end_connection(exchange, 30);
	end
	return check_headers(exchange);
end

-- Ends the connection of a request that is refused for its method, if its body cannot be skipped.
local function check_method(exchange)
	if exchange.headers.transfer_encoding and not exchange.headers.content_length then
		end_connection(exchange, 1);
	end
end

return { check = check; check_method = check_method };
