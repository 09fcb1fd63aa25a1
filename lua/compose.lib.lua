-- Reads a request: its messages, or what is wrong with it.

local host = module.import "host";
local problems = module.import "problems";
local show = module.import "display".show;
local uploads = module.import "uploads";

-- A batch of one message.
local single = {};
single.__index = single;
function single.ticket() return nil; end
function single.resolve() return true; end
function single.total() return 1; end
function single.files() return {}; end
function single:to_rooms() return self.stanza.attr.type == "groupchat"; end
function single.many() return false; end
function single.release() end
function single:next()
	local stanza = self.stanza;
	self.stanza = nil;
	return stanza;
end
function single:answer()
	return self.status, self.type, self.reply;
end

-- If the native half raises an error, log one line and answer 500.
local function conclude(exchange, ok, ...) --> batch; or nil, problem
	if not ok then
		module:log("error", "Request %s: the native half failed: %s", exchange.id, show((tostring((...)):gsub("\n.*", ""))));
		return nil, problems.new("defect");
	end
	local stanza, problem, batch, status, type, reply = ...;
	if problem then return nil, problem; end
	return batch or setmetatable({ stanza = stanza; status = status; type = type; reply = reply }, single);
end

-- `options.wants_receipt`; `options.path`: another path than the request's; `options.takes_files`: whether a body that is in none of
-- the formats is a file; nil if it is not known whether one can be uploaded.
local function read_once(exchange, options) --> batch; or nil, problem
	local headers, url = exchange.headers, exchange.request.url;
	return conclude(exchange, pcall(host.compose, exchange.sender.address, options.path or url.path, headers.content_type,
		headers.content_encoding, exchange.body, options.wants_receipt or false, exchange.sender.allowed, url.query, url.query and headers,
		options.takes_files, headers.content_disposition));
end

-- Reads a request; its sender has to be known. Whether files can be uploaded is asked only for a body that may be one.
local function read(exchange, options) --> batch; or nil, problem
	local batch, problem = read_once(exchange, options);
	if not batch and problem.status == 415 and not exchange.format and options.takes_files == nil then
		options.takes_files = uploads.takes_files(exchange.sender);
		batch, problem = read_once(exchange, options);
	end
	return batch, problem;
end

return { read = read };
