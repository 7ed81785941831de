// Periods, durations and shares as people write them, and no wrong word at the next login: loaded by Superset as a plugin
// (superset_config.py).

const { NumberFormatter, getChartTransformPropsRegistry, getNumberFormatterRegistry } =
    window['__superset__/@superset-ui/core'];
const { locale } = JSON.parse(document.getElementById('app').dataset.bootstrap).common;

// Superset's login page takes who comes back to it, logged out or idle, for somebody whose password was wrong.
if (!location.pathname.startsWith('/login')) sessionStorage.removeItem('login_attempted');

// The format `minutes` of charts: in the unit that suits the length.
const UNITS = locale === 'ko' ? { 1: '분', 60: '시간', 1440: '일' } : { 1: ' min', 60: ' h', 1440: ' days' };

function inWords(minutes) {
    if (minutes === null || minutes === undefined) return '–';
    const unit = [1440, 60].find(length => Math.abs(minutes) >= 2 * length) ?? 1;
    return (minutes / unit).toLocaleString(undefined, { maximumFractionDigits: 1 }) + UNITS[unit];
}

getNumberFormatterRegistry().registerValue('minutes', new NumberFormatter({ id: 'minutes', formatFunc: inWords }));

// An axis of counts has whole numbers only. One of shares beside it ends at 100 %, or below where all of them are small:
// ECharts gives both as many lines, and ended it at 120 % where no share was more than 0, or one was near 100 %.
const registry = getChartTransformPropsRegistry();
for (const type of ['echarts_timeseries_bar', 'mixed_timeseries']) {
    const prepare = await registry.getAsPromise(type);
    registry.remove(type); // Superset warns of a name that is taken
    registry.registerValue(type, chart => {
        const props = prepare(chart);
        const [counts, shares] = [props.echartOptions.yAxis].flat();
        if (chart.rawFormData.y_axis_format === ',d') counts.minInterval = 1;
        if (chart.rawFormData.y_axis_format_secondary?.endsWith('%')) {
            Object.assign(shares, { min: 0, max: ({ max }) => (max > 0 && max <= 0.5 ? null : 1) });
        }
        return props;
    });
}

// `2026-06-01 ≤ col < 2026-06-05` is 2026-06-01 ~ 2026-06-04.
const RANGE = /^(\S+) ≤ col < (\S+)$/;

function lastOf(end) {
    if (!/^\d{4}-\d\d-\d\d$/.test(end)) return end;
    return new Date(Date.parse(end) - 86_400_000).toISOString().slice(0, 10);
}

function rewrite() {
    for (const label of document.querySelectorAll('.date-label-content, .ant-popover .section-title + div')) {
        const text = label.childNodes.length === 1 ? label.firstChild : null;
        const [, start, end] = (text?.nodeType === Node.TEXT_NODE && RANGE.exec(text.nodeValue)) || [];
        if (start) {
            const period = [...new Set([start, lastOf(end)])].join(' ~ ');
            text.nodeValue = period.replace('-∞ ~', '~').replace('~ ∞', '~').replaceAll('T', ' ');
        }
    }
}

new MutationObserver(rewrite).observe(document.body, { childList: true, characterData: true, subtree: true });
