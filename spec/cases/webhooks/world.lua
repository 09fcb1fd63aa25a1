-- Templates of the administrator's own.
local world = require "spec.support.world";
local hosts = world.defaults().hosts;
hosts["example.com"].lines = 'post_msg_templates = "templates" post_msg_size_limit = 2000';
return { hosts = hosts; files = {
	["templates/door.j2"] = [[
{# What the door of the server room posts. #}
{{ state|upper }}: {{ door }}
{% block subject %}Door {{ door }}{% endblock %}
{% if picture %}{% block oob_url %}{{ picture }}{% endblock %}{% endif %}
]];
	["templates/all.j2"] = [[
{% set name = title %}
{% block subject %}{{ name }}{% endblock %}
{% block id %}{{ id }}{% endblock %}
{% block type %}headline{% endblock %}
{% block thread %}t-{{ name }}{% endblock %}
{% block lang %}en{% endblock %}
{% block replace %}{{ earlier }}{% endblock %}
{% block html %}<p><strong>{{ name }}</strong> {{ text }}</p>{% endblock %}
{% for line in lines %}
- {{ line }}
{% endfor %}
]];
	["templates/echo.j2"] = "{% if text is defined %}{{ text }}{% endif %}";
	["templates/alarm.j2"] = "{% if alarm %}{{ alarm }}{% endif %}{% block thread %}{{ id }}{% endblock %}{% block answer %}seen {{ id }}{% endblock %}";
	["templates/quiet.j2"] = "{% if test %}{{ silent() }}{% endif %}{{ text }}";
	["templates/strict.j2"] = "first\n{{ fail('there is no door') if not door }}";
	["templates/seen.j2"] = "{{ headers['X-Thing'] }} {{ headers.x_thing }} {{ headers.authorization is defined }} {{ headers.cookie is defined }}"
		.. " {{ payload|length }} {{ now|time('%Y')|int > 2025 }}";
	["templates/plain.j2"] = "{{ payload.text }}{% block answer %}ok{% endblock %}";
	["templates/mute.j2"] = "{{ text }}{% block answer %}{% endblock %}{% block parameters %}wait{% endblock %}";
	["templates/json.j2"] = '{{ text }}{% block answer %}{"said": {{ text|tojson }}, "wait": {{ query.wait|default(0) }}}{% endblock %}'
		.. "{% block parameters %}wait{% endblock %}";
	["templates/greedy.j2"] = "{% for i in range(100000) %}{% for j in range(100000) %}{{ text * 100 }}{% endfor %}{% endfor %}";
	["templates/growing.j2"] = "{% set grown = namespace(text=text) %}"
		.. "{% for i in range(60) %}{% set grown.text = grown.text ~ grown.text %}{% endfor %}";
	["templates/deep.j2"] = "{% macro down() %}{{ down() }}{% endmacro %}{{ down() }}";
	["templates/broken.j2"] = "first\n  {% if %}";
	["templates/unknown.j2"] = "first\n{{ text|no_such_filter }}";
	["templates/markup.j2"] = "{{ text }}{% block html %}<p>{{ text|safe }}</p>{% endblock %}";
} };
