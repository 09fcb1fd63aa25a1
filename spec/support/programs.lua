-- Programs that post, as spec/targets/programs has got them, or as they are installed.

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

return programs;
