// Package grafana writes what a Grafana needs to show runs that are in an InfluxDB: a data source and dashboards,
// as files that it reads at its start. It asks InfluxQL alone, and draws with panels that every Grafana has. Dashboards
// are classic JSON: the file provisioning of Grafana 13 refuses the newer schema.
package grafana

import (
	"encoding/json"
	"fmt"
	"path"
)

// Source is the InfluxDB that is asked. Every version is asked in InfluxQL: version 2 needs a mapping of the database onto a
// bucket for that, and versions 2 and 3 need a token.
type Source struct {
	URL      string
	Database string
	Version  int // 1, 2 or 3
}

// schemaVersion is that of Grafana 10.
const schemaVersion = 38

// A Dashboard is one page.
type Dashboard struct {
	UID, Title string
	JMeter     bool // asks JMeter's measurements, and not bakeoff's own
	PerTarget  bool // has a variable for one target
	Panels     []Panel
}

// A Panel is one picture, table or number.
type Panel struct {
	Title, Description string
	Type               string // timeseries, stat, table or barchart
	Unit               string // as Grafana names it
	Wide               int    // of 24
	Least              string // shortest interval, such as "2s"; empty: any
	Queries            []Query
}

// A Query is InfluxQL with Grafana's variables: $timeFilter, $__interval, $run and $target.
type Query struct {
	Alias string
	Text  string
}

// Files are all files by their path: provisioning/ is for Grafana's folder of that name, which says where dashboards/ is.
func Files(s Source, dashboards string) (map[string][]byte, error) {
	out := map[string][]byte{
		"provisioning/datasources/bakeoff.yaml": []byte(source(s)),
		"provisioning/dashboards/bakeoff.yaml":  []byte(provider(dashboards)),
	}
	for _, d := range Dashboards() {
		text, err := json.MarshalIndent(d.classic(), "", "  ")
		if err != nil {
			return nil, fmt.Errorf("grafana: %s: %w", d.UID, err)
		}
		out[path.Join("dashboards", d.UID+".json")] = append(text, '\n')
	}
	return out, nil
}

// source is the provisioning of the data source; quoted texts are JSON, which is YAML.
func source(s Source) string {
	text := fmt.Sprintf(`apiVersion: 1
datasources:
  - name: bakeoff
    uid: bakeoff
    type: influxdb
    access: proxy
    url: %s
    jsonData:
      version: InfluxQL
      dbName: %s
      httpMode: POST
`, quoted(s.URL), quoted(s.Database))
	if scheme := map[int]string{2: "Token", 3: "Bearer"}[s.Version]; scheme != "" {
		text += fmt.Sprintf(`      httpHeaderName1: Authorization
    secureJsonData:
      httpHeaderValue1: "%s ${BAKEOFF_INFLUXDB_TOKEN}"
`, scheme)
	}
	return text
}

func provider(dashboards string) string {
	return fmt.Sprintf(`apiVersion: 1
providers:
  - name: bakeoff
    folder: bakeoff
    type: file
    options:
      path: %s
`, quoted(dashboards))
}

func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(out)
}

type object = map[string]any

var variableSource = object{"type": "influxdb", "uid": "${source}"}

// classic is the dashboard as Grafana reads it.
func (d Dashboard) classic() object {
	var panels []object
	x, y := 0, 0
	const high = 8
	for i, p := range d.Panels {
		if x+p.Wide > 24 {
			x, y = 0, y+high
		}
		panels = append(panels, p.classic(i+1, object{"x": x, "y": y, "w": p.Wide, "h": high}))
		x += p.Wide
	}
	panels = append(panels, object{
		"id": len(d.Panels) + 1, "type": "text", "title": "", "gridPos": object{"x": 0, "y": y + high, "w": 24, "h": 3},
		"options": object{"mode": "markdown", "content": d.note()},
	})
	return object{
		"uid": d.UID, "title": d.Title, "tags": []string{"bakeoff"}, "schemaVersion": schemaVersion, "version": 1, "editable": true,
		"time": object{"from": "now-1h", "to": "now"}, "refresh": "10s", "timezone": "browser",
		"templating": object{"list": d.variables()}, "annotations": object{"list": []object{d.annotation()}}, "panels": panels,
	}
}

// note says what the percentiles are.
func (d Dashboard) note() string {
	if d.JMeter {
		return "Averages and percentiles cover each interval of 5 s, and are of response times from the intended start."
	}
	return "Percentiles over time are those of single seconds, and a panel shows the greatest of an interval: they are never averaged. " +
		"The exact ones of a phase are in the tables, where enough answers support them."
}

func (p Panel) classic(id int, at object) object {
	var targets []object
	for i, q := range p.Queries {
		format := "time_series"
		if p.Type == "table" || p.Type == "barchart" {
			format = "table"
		}
		targets = append(targets, object{
			"refId": string(rune('A' + i)), "datasource": variableSource, "rawQuery": true, "query": q.Text, "alias": q.Alias, "resultFormat": format,
		})
	}
	out := object{
		"id": id, "type": p.Type, "title": p.Title, "description": p.Description, "gridPos": at, "datasource": variableSource, "targets": targets,
		"fieldConfig": object{"defaults": object{"unit": p.Unit}, "overrides": []object{}},
	}
	if p.Least != "" {
		out["interval"] = p.Least
	}
	if p.Type == "stat" {
		out["options"] = object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}}
	}
	return out
}

// variables choose the data source, the run and the target.
func (d Dashboard) variables() []object {
	out := []object{{"name": "source", "label": "data source", "type": "datasource", "query": "influxdb"}}
	if d.JMeter {
		return append(out, tagVariable("target", "application", "SHOW TAG VALUES FROM jmeter WITH KEY = application"))
	}
	out = append(out, tagVariable("run", "run", "SHOW TAG VALUES FROM bakeoff WITH KEY = run"))
	if d.PerTarget {
		out = append(out, tagVariable("target", "target", "SHOW TAG VALUES FROM bakeoff WITH KEY = target WHERE run =~ /^$run$/"))
	}
	return out
}

func tagVariable(name, label, query string) object {
	return object{"name": name, "label": label, "type": "query", "datasource": variableSource, "query": query, "refresh": 2, "sort": 2}
}

// annotation marks where phases begin and trials end. Grafana reads all of it from the target, where that has a query.
func (d Dashboard) annotation() object {
	return object{
		"name": "phases", "enable": true, "iconColor": "blue", "datasource": variableSource, "target": object{
			"refId": "A", "query": d.Annotation(), "rawQuery": true, "fromAnnotations": true, "textColumn": "text", "titleColumn": "title",
		},
	}
}

// Annotation is the query for the marks.
func (d Dashboard) Annotation() string {
	if d.JMeter {
		return `SELECT "text" FROM "events" WHERE "application" =~ /^$target$/ AND $timeFilter`
	}
	return `SELECT "title", "text" FROM "bakeoff_events" WHERE "run" =~ /^$run$/ AND $timeFilter`
}
