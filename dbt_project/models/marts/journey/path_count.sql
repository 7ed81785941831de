{{ config(key=['session_date', 'channel', 'path'], keep='b.sessions > 0') }}
{{ counted('path_count', ['session_date', 'channel', 'path'], ['sessions'], ref('int_path__changed')) }}
