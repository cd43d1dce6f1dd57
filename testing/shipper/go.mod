module jupyterlabdemo/shipper

go 1.19

require (
	github.com/elastic/go-lumber v0.1.0
	gopkg.in/yaml.v3 v3.0.1
)

require github.com/klauspost/compress v1.16.7 // indirect
