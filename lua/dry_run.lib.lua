-- A dry run: shows the messages that a request would send. Nothing is sent, uploaded or counted.

local compose = module.import "compose";
local json_answer = module.import "json_answer";
local native = module.import "native";
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local server = module.import "prosody";
local uploads = module.import "uploads";

local base = server.base_path(module.host);

local max_shown = 100; -- messages
local max_bytes_shown = 64 * 1024; -- of all messages; the message that exceeds it is the last one

-- Reads a request and resolves its recipients. A large body is read by a thread, so a file in it is found only then.
local function read(exchange) --> batch, how many messages it makes; or nil, problem
	local batch, problem = compose.read_dry(exchange, base);
	local total;
	if batch then total, problem = compose.resolve(exchange, batch); end
	if total then return batch, total; end
	local may_be_file = not exchange.format or problem.field == "file";
	if problem.kind == "unsupported" and may_be_file and uploads.takes_files(exchange.sender) then
		problem = problems.new("unprocessable", "a dry run takes no files: nothing is uploaded", { field = "file" });
	end
	return nil, problem;
end

-- util.json takes 40 ms for a megabyte, so the native half writes it.
local function show_message(message) --> JSON; its size as XML, in bytes
	local text = tostring(message);
	return ('{"to":%s,"stanza":%s}'):format(native.json_text(message.attr.to), native.json_text(text)), #text;
end

-- The first messages of a batch.
local function show_messages(batch, account) --> list of JSON
	local messages, bytes = {}, 0;
	for message in batch.next, batch do
		local text, size = show_message(message);
		messages[#messages + 1], bytes = text, bytes + size;
		if #messages == max_shown or bytes > max_bytes_shown or not scheduler.breathe(account) then break; end
	end
	return messages;
end

-- A handler for requests of identified senders.
local function try(exchange) --> answer; or nil, problem
	local batch, total = read(exchange);
	if not batch then return nil, total; end
	local messages = show_messages(batch, exchange.sender.account);
	batch:release();
	local rest = total > #messages and (',"more":%d'):format(total - #messages) or "";
	return json_answer.new(200, '{"messages":['..table.concat(messages, ",").."]"..rest.."}");
end

return { try = try };
