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

-- The id of a request: as its client names it, or as Prosody 13 does, or a random one. The answer has it too.
local function id_of(request, response) --> string
	local given, headers = request.headers.x_request_id, response.headers;
	local id = given and is_id(given) and given or headers.x_request_id or new_id();
	headers.x_request_id = id;
	return id;
end

-- Addresses in their normal form have no control characters and direction marks.
local function message(exchange, outcome, word)
	module:log("debug", "Request %s: message %s from %s to %s: %s", exchange.id, show(outcome.id), exchange.sender.address, outcome.to, word);
end

-- `detail`: why the request was refused, or what has failed; nil if nothing has. `seconds`: the time until the answer.
local function answered(exchange, status, detail, seconds)
	if not detail then
		module:log("debug", "Request %s: %d in %.1f ms", exchange.id, status, seconds * 1000);
		return;
	end
	local sender = exchange.sender;
	local who = sender and sender.address or exchange.ip;
	if sender and sender.token then who = who.." (token "..sender.token..")"; end
	module:log("info", "Request %s of %s: %d, %s", exchange.id, show(who), status, show(detail, longest_detail));
end

return { id_of = id_of; message = message; answered = answered };
