// Marks of pictures that lead somewhere, as the cells of a table do: loaded by Superset as a plugin (superset_config.py).
//
// A chart names columns with links in `links`: that of its source first, that of its target second. Each holds what a
// table would show, `<a href="…">name</a>`, or the bare name where nothing is to be seen or the role may not. A line
// leads where its target leads, or else its source; a node where the lines leave it, or else where its only line arrives.

const { getChartBuildQueryRegistry, getChartComponentRegistry, getChartTransformPropsRegistry } =
    window['__superset__/@superset-ui/core'];
const { cloneElement } = window['__superset__/react'];

// The address that a cell leads to, on this host; undefined for a bare name.
function addressIn(cell) {
    const link = new DOMParser().parseFromString(String(cell ?? ''), 'text/html').querySelector('a[href]');
    const address = link && new URL(link.getAttribute('href'), window.location.origin);
    return address?.origin === window.location.origin ? address.href : undefined;
}

// Where a mark of ECharts leads. `rows` are the answer to the chart's question.
function addressOf(mark, rows, { source, target, links: [fromSource, fromTarget] }) {
    if (mark.dataType === 'edge') {
        const line = rows.find(row => row[source] === mark.data.source && row[target] === mark.data.target);
        return addressIn(line?.[fromTarget]) ?? addressIn(line?.[fromSource]);
    }
    const leaving = rows.find(row => row[source] === mark.name && addressIn(row[fromSource]));
    const arriving = rows.filter(row => row[target] === mark.name);
    return addressIn(leaving?.[fromSource]) ?? (arriving.length === 1 ? addressIn(arriving[0][fromTarget]) : undefined);
}

// What lets a picture be read: room for the names around the ring, where they are shortened if that is not enough, and
// between the bars.
const READABLE = { graph_chart: { zoom: 0.55, label: { width: 125 } }, sankey_v2: { nodeGap: 12 } };

function makeReadable(type, options) {
    const series = [options.series].flat().map(one => ({
        ...one,
        ...READABLE[type],
        label: { ...one.label, ...READABLE[type].label },
        data: type === 'sankey_v2' ? inColorOfPage(one.data) : one.data,
    }));
    return { ...options, series };
}

// A page has the same colour at every step: that of its first bar. A bar is named `2 · page`.
function inColorOfPage(bars) {
    const colors = new Map();
    return bars.map(bar => {
        const page = bar.name.replace(/^[-+]?\d+ · /, '');
        if (!colors.has(page)) colors.set(page, bar.itemStyle);
        return { ...bar, itemStyle: colors.get(page) };
    });
}

// Superset warns of a name that is taken.
function replace(registry, type, value) {
    registry.remove(type);
    registry.registerValue(type, value);
}

// Let the marks of one type of chart be clicked, and their names be read.
async function makeClickable(type) {
    const [ask, prepare, loaded] = await Promise.all(
        [getChartBuildQueryRegistry(), getChartTransformPropsRegistry(), getChartComponentRegistry()].map(registry =>
            registry.getAsPromise(type),
        ),
    );
    const draw = loaded.default ?? loaded;

    replace(getChartBuildQueryRegistry(), type, (asked, options) => {
        const context = ask(asked, options);
        for (const query of context.queries) {
            const grouped = query.groupby ? 'groupby' : 'columns';
            query[grouped] = [...query[grouped], ...(asked.links ?? [])];
        }
        return context;
    });
    replace(getChartTransformPropsRegistry(), type, chart => {
        const props = prepare(chart);
        return {
            ...props,
            echartOptions: makeReadable(type, props.echartOptions),
            asked: chart.rawFormData,
            rows: chart.queriesData[0].data,
        };
    });
    replace(getChartComponentRegistry(), type, ({ asked, rows, ...props }) => {
        const picture = draw(props);
        if (!asked.links) return picture;
        const click = mark => {
            const address = addressOf(mark, rows, asked);
            if (!address) return;
            if (mark.event.event.ctrlKey || mark.event.event.metaKey) window.open(address);
            else window.location.assign(address);
        };
        return cloneElement(picture, { eventHandlers: { ...picture.props.eventHandlers, click } });
    });
}

await Promise.all(Object.keys(READABLE).map(makeClickable));
