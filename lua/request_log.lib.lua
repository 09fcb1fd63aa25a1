-- What the log tells of requests, each by its id. A success is told at the level `debug`, what was refused or has failed
-- at `info`; never a message's text, nor a secret.

local new_id = require "util.id".short;

local show = module.import "display".show;

local longest_id = 200;
local longest_detail = 500; -- characters

-- One word, which an answer can repeat.
local function is_id(text) --> boolean
	return #text <= longest_id and text:find("^[\33-\126]+$") ~= nil and not text:find("[\"<>\\]");
end

-- The id of a request: as its client calls it, or Prosody 13, or by chance. The answer has it too.
local function id_of(request, response) --> string
	local given, headers = request.headers.x_request_id, response.headers;
	local id = given and is_id(given) and given or headers.x_request_id or new_id();
	headers.x_request_id = id;
	return id;
end

-- Addresses in their normal form have no controls and direction marks.
local function message(request, id, from, to, outcome)
	module:log("debug", "Request %s: message %s from %s to %s: %s", request.request_id, show(id), from, to, outcome);
end

-- `sender` as auth.lib.lua makes it, or nil; `detail` what was wrong, or nil.
local function answered(request, sender, status, detail, seconds)
	if not detail then
		module:log("debug", "Request %s: %d in %.1f ms", request.request_id, status, seconds * 1000);
		return;
	end
	local who = sender and sender.address or request.ip;
	if sender and sender.token then who = who.." (token "..sender.token..")"; end
	module:log("info", "Request %s of %s: %d, %s", request.request_id, show(who), status, show(detail, longest_detail));
end

return { id_of = id_of; message = message; answered = answered };
