-- Programs that post: installed ones, or those in target/programs (tools/programs).

local wire = require "spec.support.wire";

local programs = {};

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
programs.folder = here .. "/target/programs";

function programs.output_of(command)
	local pipe = assert(io.popen(command));
	local text = pipe:read("*a");
	pipe:close();
	return text;
end

-- > the program's absolute path; or nil, and a line says that it is not covered
function programs.find(name)
	local path = programs.output_of(("PATH=\"%s/usr/bin:%s/usr/sbin:%s/python/bin:$PATH:/usr/sbin\" command -v %s")
		:format(programs.folder, programs.folder, programs.folder, name)):match("[^\n]+");
	if not path then
		print("not covered: " .. name .. ", which this machine does not have");
		return nil;
	end
	return programs.output_of("realpath -s '" .. path .. "'"):match("[^\n]+");
end

-- Ends the process whose number is in a file, and waits for its end.
function programs.stop(file)
	local pid = programs.output_of("cat '" .. file .. "'"):match("%d+");
	if not pid then return; end
	os.execute("kill " .. pid);
	wire.await("the end of a process", function ()
		return programs.output_of("kill -0 " .. pid .. " 2>&1") ~= "";
	end);
end

return programs;
