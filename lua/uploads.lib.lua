-- Uploads the files of a request to an upload service (XEP-0363), in the sender's name.

local counters = module.import "counters";
local metrics = module.import "metrics";
local problems = module.import "problems";
local upload_request = module.import "upload_request";
local upload_service = module.import "upload_service";
local upload_slot = module.import "upload_slot";
local workers = module.import "workers";

-- Requests whose files are uploaded at the same time: each holds its files in memory. An account must leave as many free as it uses: it
-- may use 8 if it is the only account, and half of the rest if it is the second one.
local max_uploads = 16;

local count_files = metrics.counter("files");
local uploading = workers.new();

counters.register("uploads", function () return (uploading.count()); end);

-- Whether a request may have a file. It may also if the service is not reachable now: the request is then answered 503 later, and not as
-- if there was no service.
local function takes_files(sender) --> boolean
	local service, later_jid = upload_service.find(sender);
	return (service or later_jid) ~= nil;
end

local function size_of(file) --> bytes
	return file.bytes and #file.bytes or file.last - file.first + 1;
end

local function upload_file(sender, service, file, body) --> URL; or nil, problem
	local size = size_of(file);
	if service.max_size and size > service.max_size then
		return nil, problems.new("too_large", ("%s has %d bytes, and %s takes %d"):format(file.name, size, service.jid, service.max_size),
			{ field = "file" });
	end
	local slot, problem = upload_slot.request(sender, service, file, size);
	if not slot then return nil, problem; end
	local ok;
	ok, problem = upload_request.put(sender, service, slot, file.bytes or body:sub(file.first, file.last));
	if not ok then return nil, problem; end
	return slot.get_url;
end

local function upload_all(sender, batch, files, body) --> { id of a message → its file { name, url, … } }; or nil, problem
	local service, later_jid = upload_service.find(sender);
	if not service then
		return nil, problems.new("unavailable", (later_jid or sender.host)..": no upload service answers now; try again");
	end
	local files_by_id = {};
	for index, file in ipairs(files) do
		local id, problem;
		file.url, problem = upload_file(sender, service, file, body);
		if file.url then id, problem = batch:link(index, file.url); end
		count_files(1, id and "uploaded" or problem.status < 500 and "refused" or "failed");
		if not id then return nil, problem; end
		file.bytes = nil; -- frees them
		files_by_id[id] = file;
	end
	return files_by_id;
end

-- Uploads the files of a request, and links its messages to them. `body`: the body of the request.
local function upload(sender, batch, body) --> { id of a message → its file { name, url, … } }; or nil, problem
	local files = batch:files();
	if not files then return {}; end
	local count, count_of_account = uploading.count(sender.account);
	if count_of_account + 1 > max_uploads - (count + 1) then
		return nil, problems.new("busy", "too many files are uploaded at once; try again in a moment");
	end
	uploading.enter(sender.account);
	local files_by_id, problem = upload_all(sender, batch, files, body);
	uploading.leave();
	return files_by_id, problem;
end

return { takes_files = takes_files; upload = upload };
