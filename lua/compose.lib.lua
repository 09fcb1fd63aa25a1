-- Reads the messages of a request, or finds its problem.

local problems = module.import "problems";
local scheduler = module.import "scheduler";
local show = module.import "display".show;
local uploads = module.import "uploads";

-- `parts`: see src/binding/request.rs. An exchange has all of them. If the native half raises an error, log one line and answer 500.
local function try_read(exchange, parts) --> batch; or nil, problem
	local ok, batch, problem = pcall(exchange.native.read, exchange.native, parts);
	if ok then return batch, problem; end
	module:log("error", "Request %s: the native half failed: %s", exchange.id, show((tostring(batch):gsub("\n.*", ""))));
	return nil, problems.new("defect");
end

-- Reads a request whose sender is known. Looks for an upload service only if the body may be a file.
local function read(exchange) --> batch; or nil, problem
	local batch, problem = try_read(exchange, exchange);
	if not batch and problem.kind == "unsupported" then
		exchange.takes_files = uploads.takes_files(exchange.sender);
		batch, problem = try_read(exchange, exchange);
	end
	return batch, problem;
end

-- Reads a request as if it was posted to another path, on a host without an upload service.
local function read_dry(exchange, path) --> batch; or nil, problem
	return try_read(exchange, { sender = exchange.sender; body = exchange.body; path = path; takes_files = false });
end

-- Waits until the body of a batch is read, and resolves all its recipients.
local function resolve(exchange, batch) --> number of its messages, whether one message is all that there is; or nil, problem
	local account = exchange.sender.account;
	repeat
		local total, detail = batch:resolve();
		if total then
			return total, detail;
		elseif total == nil then
			return nil, detail;
		end
		-- `detail` is the ticket of the thread that reads the body, if one does.
		local goes_on;
		if detail then goes_on = scheduler.await(detail, account); else goes_on = scheduler.breathe(account); end
	until not goes_on;
	return nil, problems.new("unloaded");
end

return { read = read; read_dry = read_dry; resolve = resolve };
