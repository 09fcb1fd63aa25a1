-- Reads a request: its messages, or what is wrong with it.

local host = module.import "host";
local problems = module.import "problems";
local show = module.import "display".show;

-- A defect of the native half is told in one line, and the server goes on.
local function whole(request, ok, ...)
	if ok then return ...; end
	module:log("error", "Request %s: the native half failed: %s", request.request_id, show((tostring((...)):gsub("\n.*", ""))));
	return nil, problems.new("defect");
end

-- Reads a request. `takes_files`: what is none of the formats is a file; nil where it is not known whether one can be
-- uploaded; `path`: another than the request's.
local function read(request, sender, wait, takes_files, path) --> as host.compose
	local headers, query = request.headers, request.url.query;
	return whole(request, pcall(host.compose, sender.address, path or request.url.path, headers.content_type, headers.content_encoding,
		request.body, wait ~= nil, sender.allowed, query, query and headers, takes_files, headers.content_disposition));
end

return { read = read };
