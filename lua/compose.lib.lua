-- Reads a request: its messages, or what is wrong with it.

local problems = module.import "problems";
local scheduler = module.import "scheduler";
local show = module.import "display".show;
local uploads = module.import "uploads";

-- If the native half raises an error, log one line and answer 500.
local function conclude(exchange, ok, result, problem) --> batch; or nil, problem
	if ok then return result, problem; end
	module:log("error", "Request %s: the native half failed: %s", exchange.id, show((tostring(result):gsub("\n.*", ""))));
	return nil, problems.new("defect");
end

local function read_once(exchange, options) --> batch; or nil, problem
	local native, sender = exchange.native, exchange.sender;
	return conclude(exchange, pcall(native.read, native, {
		sender = sender.address; allowed = sender.allowed; body = exchange.body; wants_receipt = options.wants_receipt;
		path = options.path; takes_files = options.takes_files;
	}));
end

-- Reads a request; its sender has to be known. `options.wants_receipt`; `options.path`: another path than the request's;
-- `options.takes_files`: whether a body that is in none of the formats is a file. By default, whether files can be uploaded is asked
-- only for a body that may be one.
local function read(exchange, options) --> batch; or nil, problem
	local batch, problem = read_once(exchange, options);
	if not batch and problem.kind == "unsupported" and not exchange.format and options.takes_files == nil then
		options.takes_files = uploads.takes_files(exchange.sender);
		batch, problem = read_once(exchange, options);
	end
	return batch, problem;
end

-- Waits until the body of a batch is read, and resolves all its recipients.
local function resolve(exchange, batch) --> how many messages it makes; or nil, problem
	local account = exchange.sender.account;
	repeat
		local total, detail = batch:resolve();
		if total then
			return total;
		elseif total == nil then
			return nil, detail;
		end
		-- `detail` is the ticket of the thread that reads the body, if one does.
		local goes_on;
		if detail then goes_on = scheduler.await(detail, account); else goes_on = scheduler.breathe(account); end
	until not goes_on;
	return nil, problems.new("unloaded");
end

return { read = read; resolve = resolve };
