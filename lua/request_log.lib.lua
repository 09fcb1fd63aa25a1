-- The log lines of requests, each with the request's id. A success is logged at the level `debug`, a refusal or a failure at `info`;
-- never a message's text, nor a secret.

local new_id = require "util.id".short;

local show = module.import "display".show;

local longest_id = 200; -- bytes
local longest_detail = 500; -- characters

-- Whether a text is one word, which an answer can repeat.
local function is_id(text) --> boolean
	return #text <= longest_id and text:find("^[\33-\126]+$") ~= nil and not text:find("[\"<>\\]");
end

-- The id of a request: the client's X-Request-Id, or the id of Prosody 13, or a random id. The answer has it too.
local function id_of(request, response) --> string
	local client_id, headers = request.headers.x_request_id, response.headers;
	local id = client_id and is_id(client_id) and client_id or headers.x_request_id or new_id();
	headers.x_request_id = id;
	return id;
end

-- Addresses in their normal form have no control characters and direction marks.
local function log_message(exchange, outcome, word)
	module:log("debug", "Request %s: message %s from %s to %s: %s", exchange.id, show(outcome.id), exchange.sender.address, outcome.to, word);
end

-- `detail`: why the request was refused or failed; nil if it did not. `seconds`: the time until the answer.
local function log_answer(exchange, status, detail, seconds)
	if not detail then
		module:log("debug", "Request %s: %d in %.1f ms", exchange.id, status, seconds * 1000);
		return;
	end
	local sender = exchange.sender;
	local origin = sender and sender.address or exchange.ip;
	if sender and sender.token then origin = origin.." (token "..sender.token..")"; end
	module:log("info", "Request %s of %s: %d, %s", exchange.id, show(origin), status, show(detail, longest_detail));
end

return { id_of = id_of; log_message = log_message; log_answer = log_answer };
